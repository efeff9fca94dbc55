import type { Config } from '#config/schema.ts'
import type { Gateway } from '#src/index.ts'
import type { Listener } from '#src/server.ts'
import { EXIT } from './output.ts'

/** How long the last words (log lines) may take, in milliseconds. */
const FLUSH_MS = 5000

/** The ways in which a process that serves ends. */
export interface Drain {
  /** Not ready at once, still serving for a while so that a load balancer can notice, then no new connections, running
   * answers finish until `drain_timeout`, and what is left is told that the gateway shuts down. */
  stop(delayMs: number): void
  /** Another process has the port as well: no new connections at once, running answers finish, clients that are connected
   * are told with their next answer to connect anew, and then the same. */
  leave(): void
  /** Skips the waiting. */
  hurry(): void
}

/** Prepares the end of this process. */
export function createDrain(options: {
  readonly gateway: Gateway
  readonly listener: Listener
  readonly config: Config
  readonly before: () => void
}): Drain {
  const { gateway, listener } = options
  const { drain_delay, drain_timeout } = options.config.service
  const { promise: hurried, resolve: hurry } = Promise.withResolvers<void>()
  let phase: 'serving' | 'leaving' | 'stopping' = 'serving'

  async function stop(delayMs: number): Promise<void> {
    if (phase === 'stopping') return
    phase = 'stopping'
    options.before()
    gateway.drain()
    await Promise.race([Bun.sleep(delayMs), hurried])
    const ended = listener.stop()
    await Promise.race([Promise.all([ended, gateway.idle()]), Bun.sleep(drain_timeout), hurried])
    gateway.abort()
    await Promise.race([gateway.idle(), Bun.sleep(FLUSH_MS)])
    await Promise.race([listener.kill(), Bun.sleep(FLUSH_MS)])
    await Promise.race([gateway.close(), Bun.sleep(FLUSH_MS)])
    process.exit(EXIT.ok)
  }

  async function leave(): Promise<void> {
    if (phase !== 'serving') return
    phase = 'leaving'
    await listener.deafen()
    // Only now: who connects anew must not come to this process again.
    gateway.leave()
    await Promise.race([gateway.idle(), Bun.sleep(drain_timeout), hurried])
    // A connection on which a long answer has just ended is as good as new to its client.
    await Promise.race([Bun.sleep(drain_delay), hurried])
    await stop(0)
  }

  return { stop: delayMs => void stop(delayMs), leave: () => void leave(), hurry }
}

/** Stops gracefully on SIGTERM or SIGINT. A second signal skips the waiting. */
export function drainOnSignal(drain: Pick<Drain, 'stop' | 'hurry'>, { service }: Config): void {
  let stopping = false
  const stop = (delayMs: number) => {
    if (stopping) drain.hurry()
    else drain.stop(delayMs)
    stopping = true
  }
  process.on('SIGTERM', () => stop(service.drain_delay))
  // Whoever presses Ctrl-C has no load balancer in front.
  process.on('SIGINT', () => stop(0))
}
