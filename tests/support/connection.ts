import type { Connection } from '#http/exchange.ts'

/** A connection from an address, as the edge sees it, whose client stays. */
export function connectionFrom(address: string): Connection {
  return { address, idle() {}, onLeave() {}, done() {} }
}
