import type { Live } from '#core/attempt.ts'
import type { Frame } from '#core/frame.ts'
import type { RequestRecord } from '#core/record.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import { NOBODY_LEFT } from './flight.ts'
import { Payers } from './payers.ts'
import type { Whole } from './shared-log.ts'

/** A plain answer for which several requests may wait. While only the first one does, the work is a child of that
 * request and ends with it, which costs no more than an answer that nobody may share. Once a second request joins, the
 * work ends when the last one leaves. */
export class SharedAnswer {
  private readonly scope: Scope
  private readonly first: Scope
  private readonly whole: Promise<WholeAnswer>
  private readonly onOver: (whole: Whole | null) => void
  private readonly record: RequestRecord
  private payers: Payers | null = null
  private waiting = 0
  private over = false

  /** @param scope The work's own, within `first` unless the first caller's time is short.
   * @param first The request of the first caller, who has to call `lead`.
   * @param record The first caller's; it pays, unless it leaves before the others.
   * @param onOver Told once how the work ended: with the answer, or with `null`. */
  constructor(
    work: Promise<Live>,
    of: {
      readonly scope: Scope
      readonly first: Scope
      readonly record: RequestRecord
      readonly onOver: (whole: Whole | null) => void
    },
  ) {
    this.record = of.record
    this.scope = of.scope
    this.first = of.first
    this.onOver = of.onOver
    this.whole = this.readWhole(work)
  }

  /** Whether a request that joins now gets the answer. */
  get open(): boolean {
    return !this.over && this.scope.ended === null
  }

  /** Waits as the first caller. */
  lead(): Promise<Live> {
    if (this.first.endsAt < Infinity) return this.join(this.first, this.record)
    return abandonable(this.whole, this.first)
  }

  /** Waits beside others.
   *
   * @throws GatewayError what ended the work, or the caller's own scope. */
  async join(own: Scope, record: RequestRecord): Promise<Live> {
    if (this.waiting === 0 && own !== this.first) this.detach()
    this.waiting++
    if (record !== this.record) this.paying.join(record)
    const stop = own.onEnd(() => this.leave(record))
    try {
      // A request that ends stops waiting at once: it may hold limits that others need.
      const whole = await abandonable(this.whole, own)
      return new WholeAnswer(whole, whole.frames)
    } finally {
      stop()
    }
  }

  /** Detaches the work from the first request, which is now one of several. */
  private detach(): void {
    this.scope.outlive()
    this.waiting++
    this.first.onEnd(() => this.leave(this.record))
  }

  private get paying(): Payers {
    this.payers ??= new Payers(this.record)
    return this.payers
  }

  private leave(record: RequestRecord): void {
    this.waiting--
    if (!this.over) this.payers?.leave(record)
    if (this.waiting === 0 && !this.over) this.scope.cancel(NOBODY_LEFT)
  }

  private async readWhole(work: Promise<Live>): Promise<WholeAnswer> {
    try {
      const live = await work
      try {
        const whole = new WholeAnswer(live, await live.next())
        if (this.scope.ended !== null) throw this.scope.ended
        this.end(whole)
        return whole
      } finally {
        live.close()
      }
    } catch (thrown) {
      this.end(null)
      throw thrown
    }
  }

  private end(whole: Whole | null): void {
    if (this.over) return
    this.over = true
    this.scope.close()
    this.onOver(whole)
  }
}

const NONE: readonly number[] = []
const NOTHING_MORE: readonly Frame[] = []

/** The answer as one of those who waited for it reads it: all frames, then no more. */
class WholeAnswer implements Live, Whole {
  readonly target: Live['target']
  readonly model: Live['model']
  readonly frames: readonly Frame[]
  readonly moments = NONE
  private given = false

  constructor({ target, model }: Pick<Live, 'target' | 'model'>, frames: readonly Frame[]) {
    this.target = target
    this.model = model
    this.frames = frames
  }

  next(): Promise<readonly Frame[]> {
    if (this.given) return Promise.resolve(NOTHING_MORE)
    this.given = true
    return Promise.resolve(this.frames)
  }

  close(): void {}
}
