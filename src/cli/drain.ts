import type { Config } from '#config/schema.ts'
import type { Gateway } from '#src/index.ts'
import type { Listener } from '#src/server.ts'
import { EXIT } from './output.ts'

/** How long the last words (log lines) may take, in milliseconds. */
const FLUSH_MS = 5000

/** Stops gracefully on SIGTERM or SIGINT: not ready at once, still serving for `drain_delay` so that a load balancer
 * can notice, then no new connections, running answers finish until `drain_timeout`, and what is left is told that the
 * gateway shuts down. A second signal skips the waiting. */
export function drainOnSignal(options: {
  readonly gateway: Gateway
  readonly listener: Listener
  readonly config: Config
  readonly before: () => void
}): void {
  const { gateway, listener } = options
  const { drain_delay, drain_timeout } = options.config.service
  let hurry: () => void = () => {}
  const hurried = new Promise<void>(resolve => {
    hurry = resolve
  })
  let stopping = false

  const stop = async (delayMs: number) => {
    if (stopping) return hurry()
    stopping = true
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
  process.on('SIGTERM', () => void stop(drain_delay))
  // Whoever presses Ctrl-C has no load balancer in front.
  process.on('SIGINT', () => void stop(0))
}
