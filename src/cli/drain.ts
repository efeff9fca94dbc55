import type { Config } from '#config/schema.ts'
import type { Gateway } from '#src/index.ts'
import type { Listener } from '#src/server.ts'
import { EXIT } from './output.ts'

/** How long the last log lines may take to be written, in milliseconds. */
const FLUSH_MS = 5000

/** The ways in which a process that serves ends. */
export interface Drain {
  /** Ends this process. It stops being ready at once, and serves for a while, so that load balancers notice. Then it takes
   * no new connections, lets running answers finish for up to `drain_timeout`, and aborts the rest with an error. */
  stop(delayMs: number): void
  /** Ends this process while others serve the same port. It takes no new connections at once, and asks connected clients to
   * reconnect (`connection: close` in their next answer). Then as `stop`. */
  leave(): void
  /** Ends every wait of `stop` or `leave` now. */
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
    // Only after the listening socket is closed: a client that reconnects must not reach this process again.
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
  // SIGINT comes from a terminal, where no load balancer needs the delay.
  process.on('SIGINT', () => stop(0))
}
