import type { Live } from '#core/attempt.ts'
import type { Bypass } from '#core/bypass.ts'
import type { Clock } from '#core/clock.ts'
import type { Scope } from '#core/scope.ts'
import { NOBODY_LEFT } from './flights/flight.ts'
import type { Source } from './render.ts'

/** Waits for an answer for so many milliseconds.
 *
 * @returns Whether it has still neither come nor failed. */
export function isLate(answer: Promise<Live>, ms: number, clock: Pick<Clock, 'after'>): Promise<boolean> {
  return new Promise(resolve => {
    const disarm = clock.after(ms, () => resolve(true))
    const inTime = () => {
      disarm()
      resolve(false)
    }
    answer.then(inTime, inTime)
  })
}

/** An answer whose stream is written before the answer exists: reading it waits for the answer. */
export class Promised implements Source {
  private readonly answer: Promise<Live>
  private readonly own: Scope
  private live: Live | null = null
  private over = false
  private to: Bypass | null = null

  /** @param own The scope of the request: when it ends, the waiting ends. */
  constructor(answer: Promise<Live>, own: Scope) {
    this.answer = answer
    this.own = own
    answer.then(
      live => this.come(live),
      () => {
        this.over = true
      },
    )
  }

  private come(live: Live): void {
    this.live = live
    if (this.over) live.close()
    else if (this.to !== null) live.bypass?.(this.to)
  }

  get encoded(): Live['encoded'] {
    return this.live?.encoded
  }

  async next(): ReturnType<Live['next']> {
    const live = this.live ?? (await this.answer)
    return live.next()
  }

  bypass(to: Bypass | null): void {
    if (this.live === null) this.to = to
    else this.live.bypass?.(to)
  }

  close(): void {
    this.live?.close()
    if (this.live === null && !this.over) this.own.cancel(NOBODY_LEFT)
    this.over = true
  }
}
