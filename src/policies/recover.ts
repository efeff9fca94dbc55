import type { Live, Run } from '#core/attempt.ts'
import type { Bypass } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'
import type { Usage } from '#core/usage.ts'
import { holdContinuation, type PrefillOffer, toPrefill, withDelivered } from './prefill.ts'
import { createContinuation, createSplice, isCaughtUp, isWhole, type Splice, stepSplice } from './splice.ts'
import { createTranscript } from './transcript.ts'

/** What a recovery reports to. */
export interface RecoveryWatch {
  /** A committed answer broke off, after so many characters of it. */
  onBroken(error: GatewayError, characters: number): void
  /** Another answer has repeated all that was delivered, or continues it, and goes on from there. */
  onRecovered(how: 'restart' | 'prefill', from: Pick<Live, 'target' | 'model'>): void
}

/** What is recovered. */
export interface Recovered {
  readonly call: Call
  readonly scope: Scope
  /** Read by the attempts, when they may go on from what was delivered. */
  readonly offer: PrefillOffer
}

/** Wraps the attempts of a streamed call: when the committed answer breaks off, the next one is compared with what was
 * delivered, and goes on behind it.
 *
 * The answer ends with the error of the first break when nothing is left to try, and with `stream_interrupted` when
 * what is left says something else. */
export async function recover(run: Run, recovered: Recovered, watch: RecoveryWatch): Promise<Live> {
  return new RecoveredLive(await run.next(), run, recovered, watch)
}

/** An answer over several attempts; a class, because one is made for each stream. */
class RecoveredLive implements Live {
  private readonly transcript = createTranscript()
  private live: Live
  private readonly run: Run
  private readonly recovered: Recovered
  private readonly watch: RecoveryWatch
  private splice: Splice | null = null
  private how: 'restart' | 'prefill' = 'restart'
  private proven = true
  /** Characters that the server which answers now was given instead of saying them. */
  private given = 0
  /** The break that is to be recovered from, and the first of them all. */
  private broken: GatewayError | null = null
  private first: GatewayError | null = null
  /** What the server which answers now has counted in frames that were left out. */
  private soFar: Usage | null = null
  private closed = false
  private readonly onFrames = (frames: readonly Frame[]) => {
    const passed = frames.length === 0 ? frames : this.pass(frames)
    return passed.length > 0 || this.broken === null ? passed : this.nextSpliced()
  }
  private readonly onError = (thrown: unknown) => {
    this.broken = toBreak(thrown)
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

  /** The way of a stream that has not broken is short: it is gone once for each piece of each answer. */
  readonly next = (): Promise<readonly Frame[]> => {
    if (this.splice !== null || this.broken !== null) return this.nextSpliced()
    return this.live.next().then(this.onFrames, this.onError)
  }

  /** Once an answer has broken, everything is compared. */
  bypass(to: Bypass): void {
    this.live.bypass?.(said => {
      if (this.splice !== null || this.broken !== null || !to(said)) return false
      this.transcript.say(said)
      return true
    })
  }

  readonly close = (): void => {
    this.closed = true
    this.live.close()
  }

  private async nextSpliced(): Promise<readonly Frame[]> {
    while (true) {
      if (this.broken !== null) await this.goOn(this.broken)
      try {
        const frames = await this.live.next()
        if (frames.length === 0) return this.end()
        const passed = this.pass(frames)
        if (passed.length > 0) return passed
      } catch (thrown) {
        this.broken = toBreak(thrown)
      }
    }
  }

  /** Remembers what goes to the caller, and takes out what it has. */
  private pass(frames: readonly Frame[]): readonly Frame[] {
    const passed: Frame[] | null = this.splice === null ? null : []
    for (let at = 0; at < frames.length; at++) {
      const frame = frames[at]
      if (frame === undefined) continue
      if (frame.kind === 'error') {
        if (!isBreak(frame.error)) return passed === null ? frames : [...passed, frame]
        this.broken = frame.error
        return passed ?? frames.slice(0, at)
      }
      if (this.splice === null || passed === null) this.transcript.note(frame)
      else {
        // A prompt with the beginning of the answer in it is counted otherwise.
        if (frame.soFar !== undefined && this.given === 0) this.soFar = frame.soFar
        const result = stepSplice(this.splice, this.given > 0 ? withDelivered(frame, this.given) : frame)
        if (result === 'differs') return this.differ(passed)
        this.splice = result[0]
        for (const each of result[1]) {
          this.transcript.note(each)
          passed.push(each)
        }
      }
    }
    if (!this.proven) this.prove()
    return passed === null ? frames : this.counted(passed)
  }

  /** Lets what was counted go along with the first frame that goes out. */
  private counted(passed: readonly Frame[]): readonly Frame[] {
    const last = passed.at(-1)
    if (this.soFar === null || last === undefined || last.kind === 'error') return passed
    const frame = { ...last, soFar: this.soFar }
    this.soFar = null
    return [...passed.slice(0, -1), frame]
  }

  private prove(): void {
    if (this.splice === null || !isCaughtUp(this.splice)) return
    this.proven = true
    this.watch.onRecovered(this.how, this.live)
  }

  /** What could go on goes out before the error. */
  private differ(passed: readonly Frame[]): readonly Frame[] {
    const { first: cause } = this
    const error = new GatewayError('stream_interrupted', 'The model server broke off in the middle of its answer.', {
      cause,
    })
    this.live.close()
    this.watch.onBroken(error, this.transcript.characters)
    return [...passed, { kind: 'error', error }]
  }

  private end(): readonly Frame[] {
    return this.closed || this.splice === null || isWhole(this.splice) ? [] : this.differ([])
  }

  /** Lets go of the broken answer, then takes up the next one.
   *
   * @throws GatewayError the first break, when nothing is left. */
  private async goOn(error: GatewayError): Promise<void> {
    const { transcript, recovered } = this
    const { call, scope, offer } = recovered
    this.broken = null
    this.first ??= error
    this.live.close()
    this.watch.onBroken(error, transcript.characters)
    if (this.closed || scope.ended !== null || !transcript.comparable) throw scope.ended ?? this.first
    offer.delivered = toPrefill(call, transcript)
    offer.upstreamModel = this.live.target.upstreamModel
    offer.taken = false
    try {
      this.live = await this.run.next()
    } catch {
      throw scope.ended ?? this.first
    }
    if (this.closed) {
      this.live.close()
      throw this.first
    }
    await this.begin(offer)
  }

  /** Finds out whether the answer that is there now goes on, or starts again. */
  private async begin({ taken, delivered }: PrefillOffer): Promise<void> {
    const { live, transcript } = this
    const held = taken && delivered !== null ? await holdContinuation(live, delivered) : { live, continues: false }
    this.live = held.live
    this.how = held.continues ? 'prefill' : 'restart'
    this.given = held.continues && delivered !== null ? delivered.text.length : 0
    this.splice = held.continues ? createContinuation(transcript) : createSplice(transcript)
    this.proven = false
    this.soFar = null
  }
}

/** Whether another server may take over; the end of the call itself is never one. */
function isBreak(error: GatewayError): boolean {
  return error.retryable || error.code === 'stream_interrupted'
}

function toBreak(thrown: unknown): GatewayError {
  const error = toGatewayError(thrown)
  if (!isBreak(error)) throw error
  return error
}
