import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'

/** How long in total a server is waited for after the last choice has finished, in milliseconds. */
export const AFTER_FINISH_MS = 1000

/** Watches the silence of one stream with one timer for all its reads. Before the first content the first-token clock
 * is the one that counts: a server may send its headers at once and then read a long prompt. */
export class QuietWatch {
  /** The error with which the stream was closed because it was silent for too long; else `null`. */
  fired: GatewayError | null = null
  /** Whether content has come. */
  begun = false
  private readonly clock: Clock
  private readonly close: () => void
  private limitMs: number
  private waitingSince = 0
  private finished = false
  /** How long the server has been waited for since the finish, in milliseconds. */
  private waitedMs = 0
  private disarm: (() => void) | null = null

  /** @param close Ends the stream that has fallen silent. */
  constructor(clock: Clock, idleMs: number, close: () => void) {
    this.clock = clock
    this.limitMs = idleMs
    this.close = close
  }

  /** Begins to measure silence: a read begins. */
  wait(): void {
    this.waitingSince = this.clock.now()
    if (this.begun && this.disarm === null) this.arm(this.limitMs - this.waitedMs)
  }

  /** Measures silence anew: something arrived at `at`, and the read goes on. After the finish nothing does that. */
  heard(at: number): void {
    if (!this.finished) this.waitingSince = at
  }

  /** Stops measuring silence: the read is over. */
  rest(): void {
    if (this.finished) this.waitedMs += this.waiting()
    this.waitingSince = 0
  }

  /** Limits all further waiting to a short time, whatever the server still sends: the answer is complete. */
  shorten(): void {
    if (this.finished) return
    this.finished = true
    this.limitMs = Math.min(this.limitMs, AFTER_FINISH_MS)
    this.disarm?.()
    this.arm(this.limitMs)
  }

  stop(): void {
    this.disarm?.()
  }

  private waiting(): number {
    return this.waitingSince === 0 ? 0 : this.clock.now() - this.waitingSince
  }

  private arm(ms: number): void {
    this.disarm = this.clock.after(ms, () => {
      this.disarm = null
      // The next read arms it again.
      if (this.waitingSince === 0) return
      const waited = this.waitedMs + this.waiting()
      if (waited < this.limitMs) return this.arm(this.limitMs - waited)
      this.fired = new GatewayError(
        'upstream_idle_timeout',
        'The model server fell silent in the middle of its answer.',
      )
      this.close()
    })
  }
}
