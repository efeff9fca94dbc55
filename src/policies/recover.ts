import type { Live, Run } from '#core/attempt.ts'
import type { Bypass, Said } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'
import type { Usage } from '#core/usage.ts'
import { holdContinuation, type PrefillOffer, toPrefill, withDelivered } from './prefill.ts'
import { createContinuation, createSplice, isCaughtUp, isWhole, type Splice, stepSplice } from './splice.ts'
import { createTranscript } from './transcript.ts'

/** Told how a recovery goes. */
export interface RecoveryWatch {
  /** A committed answer broke off after this many delivered characters. */
  onBroken(error: GatewayError, characters: number): void
  /** Another answer has repeated all that was delivered (`restart`), or continues it (`prefill`), and now follows. */
  onRecovered(how: 'restart' | 'prefill', from: Pick<Live, 'target' | 'model'>): void
}

/** The call whose stream is recovered. */
export interface Recovered {
  readonly call: Call
  readonly scope: Scope
  /** Tells the next attempt what was delivered, so that it may continue by prefill. */
  readonly offer: PrefillOffer
}

/** Wraps the attempts of a streamed call: when the committed answer breaks off, another attempt is made. Its text is
 * dropped as long as it repeats what was delivered; what comes after that goes to the caller.
 *
 * The answer ends with the error of the first break when nothing is left to try, and with `stream_interrupted` when the
 * new text differs from what was delivered. */
export async function recover(run: Run, recovered: Recovered, watch: RecoveryWatch): Promise<Live> {
  return new RecoveredLive(await run.next(), run, recovered, watch)
}

/** One answer that several attempts give. A class and no closures, because one is made for each stream. */
class RecoveredLive implements Live {
  private readonly transcript = createTranscript()
  private live: Live
  private readonly run: Run
  private readonly recovered: Recovered
  private readonly watch: RecoveryWatch
  /** The comparison with what was delivered; `null` until the answer has broken off once. */
  private splice: Splice | null = null
  private method: 'restart' | 'prefill' = 'restart'
  /** Whether the server that answers now has repeated all that was delivered. */
  private caughtUp = true
  /** How many characters the current server was given as prefill and therefore does not send itself. */
  private prefilledChars = 0
  /** A break from which the answer has not recovered yet. */
  private pendingBreak: GatewayError | null = null
  /** The first break. The caller gets it if recovery fails. */
  private firstBreak: GatewayError | null = null
  /** The latest token count of an answer that is compared. The frame that carried it may have been dropped. */
  private splicedCount: Usage | null = null
  private closed = false
  private readonly onFrames = (frames: readonly Frame[]) => {
    const passed = frames.length === 0 ? frames : this.filter(frames)
    return passed.length > 0 || this.pendingBreak === null ? passed : this.nextSpliced()
  }
  private readonly onError = (thrown: unknown) => {
    this.pendingBreak = toBreak(thrown)
    return this.nextSpliced()
  }

  constructor(live: Live, run: Run, recovered: Recovered, watch: RecoveryWatch) {
    this.live = live
    this.run = run
    this.recovered = recovered
    this.watch = watch
  }

  get target() {
    return this.live.target
  }

  get model() {
    return this.live.model
  }

  /** Kept short for a stream that has not broken off: this runs once for each piece of each answer. */
  readonly next = (): Promise<readonly Frame[]> => {
    if (this.splice !== null || this.pendingBreak !== null) return this.nextSpliced()
    return this.live.next().then(this.onFrames, this.onError)
  }

  /** After a break every event has to be compared, so none may bypass this. */
  bypass(to: Bypass | null): void {
    this.live.bypass?.(to === null ? null : said => this.pass(said, to))
  }

  private pass(said: Said, to: Bypass): boolean {
    if (this.splice !== null || this.pendingBreak !== null || !to(said)) return false
    this.transcript.say(said)
    return true
  }

  readonly close = (): void => {
    this.closed = true
    this.live.close()
  }

  private async nextSpliced(): Promise<readonly Frame[]> {
    while (true) {
      if (this.pendingBreak !== null) await this.takeOver(this.pendingBreak)
      try {
        const frames = await this.live.next()
        if (frames.length === 0) return this.finish()
        const passed = this.filter(frames)
        if (passed.length > 0) return passed
      } catch (thrown) {
        this.pendingBreak = toBreak(thrown)
      }
    }
  }

  /** Removes what the caller already has, and remembers what is sent now. */
  private filter(frames: readonly Frame[]): readonly Frame[] {
    const passed: Frame[] | null = this.splice === null ? null : []
    for (let index = 0; index < frames.length; index++) {
      const frame = frames[index]
      if (frame === undefined) continue
      if (frame.kind === 'error') {
        if (!isBreak(frame.error)) return passed === null ? frames : [...passed, frame]
        this.pendingBreak = frame.error
        return passed ?? frames.slice(0, index)
      }
      if (this.splice === null || passed === null) this.transcript.note(frame)
      else {
        const said = this.prefilledChars > 0 ? withDelivered(frame, this.prefilledChars) : frame
        if (said.soFar !== undefined) this.splicedCount = said.soFar
        const result = stepSplice(this.splice, said)
        if (result === 'differs') return this.interrupt(passed)
        this.splice = result[0]
        for (const each of result[1]) {
          this.transcript.note(each)
          passed.push(each)
        }
      }
    }
    if (!this.caughtUp) this.reportCaughtUp()
    return passed === null ? frames : this.withCount(passed)
  }

  /** Adds the latest token count to the frames that are sent, because the frame that carried it may have been dropped.
   */
  private withCount(passed: readonly Frame[]): readonly Frame[] {
    const last = passed.at(-1)
    if (this.splicedCount === null || last === undefined || last.kind === 'error') return passed
    const frame = { ...last, soFar: this.splicedCount }
    this.splicedCount = null
    return [...passed.slice(0, -1), frame]
  }

  private reportCaughtUp(): void {
    if (this.splice === null || !isCaughtUp(this.splice)) return
    this.caughtUp = true
    this.watch.onRecovered(this.method, this.live)
  }

  /** Ends the answer with `stream_interrupted`, after the frames that could still be sent. */
  private interrupt(passed: readonly Frame[]): readonly Frame[] {
    const { firstBreak: cause } = this
    const error = new GatewayError('stream_interrupted', 'The model server broke off in the middle of its answer.', {
      cause,
    })
    this.live.close()
    this.watch.onBroken(error, this.transcript.characters)
    return [...passed, { kind: 'error', error }]
  }

  private finish(): readonly Frame[] {
    return this.closed || this.splice === null || isWhole(this.splice) ? [] : this.interrupt([])
  }

  /** Closes the broken answer and waits for the answer of the next attempt.
   *
   * @throws GatewayError the first break, when nothing is left. */
  private async takeOver(error: GatewayError): Promise<void> {
    const { transcript, recovered } = this
    const { call, scope, offer } = recovered
    this.pendingBreak = null
    this.firstBreak ??= error
    this.live.close()
    this.watch.onBroken(error, transcript.characters)
    if (this.closed || scope.ended !== null || !transcript.comparable) throw scope.ended ?? this.firstBreak
    offer.delivered = toPrefill(call, transcript)
    offer.upstreamModel = this.live.target.upstreamModel
    offer.taken = false
    try {
      this.live = await this.run.next()
    } catch {
      throw scope.ended ?? this.firstBreak
    }
    if (this.closed) {
      this.live.close()
      throw this.firstBreak
    }
    await this.beginSplice(offer)
  }

  /** Prepares the comparison with the new answer. It either continues the delivered text, which is possible only if
   * prefill was offered and accepted, or starts over. */
  private async beginSplice({ taken, delivered }: PrefillOffer): Promise<void> {
    const { live, transcript } = this
    const held = taken && delivered !== null ? await holdContinuation(live, delivered) : { live, continues: false }
    this.live = held.live
    this.method = held.continues ? 'prefill' : 'restart'
    this.prefilledChars = held.continues && delivered !== null ? delivered.text.length : 0
    this.splice = held.continues ? createContinuation(transcript) : createSplice(transcript)
    this.caughtUp = false
    this.splicedCount = null
  }
}

/** Whether another server may take over after this error. The end of the call itself does not count. */
function isBreak(error: GatewayError): boolean {
  return error.retryable || error.code === 'stream_interrupted'
}

function toBreak(thrown: unknown): GatewayError {
  const error = toGatewayError(thrown)
  if (!isBreak(error)) throw error
  return error
}
