import type { Live } from '#core/attempt.ts'
import type { Bypass } from '#core/bypass.ts'
import type { Frame } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'
import { NOBODY_LEFT } from './flight.ts'

/** A stream that only one request reads, and that ends with it. A class, because one is made for each stream. */
export class Alone implements Live {
  private readonly live: Live
  private readonly scope: Scope
  private over = false
  private readonly onFrames = (frames: readonly Frame[]) => {
    if (frames.length === 0) this.finish()
    return frames
  }

  /** @param scope The scope of the work: closed when the work is done, cancelled when its reader leaves earlier. */
  constructor(live: Live, scope: Scope) {
    this.live = live
    this.scope = scope
  }

  get target() {
    return this.live.target
  }

  get model() {
    return this.live.model
  }

  readonly next = (): Promise<readonly Frame[]> => this.live.next().then(this.onFrames)

  bypass(to: Bypass | null): void {
    this.live.bypass?.(to)
  }

  readonly close = (): void => {
    if (this.over) return
    this.over = true
    this.scope.cancel(NOBODY_LEFT)
    this.live.close()
  }

  private finish(): void {
    if (this.over) return
    this.over = true
    this.scope.close()
    this.live.close()
  }
}
