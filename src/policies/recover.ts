import type { Live, Run } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import type { Frame } from '#core/frame.ts'
import type { Scope } from '#core/scope.ts'
import { holdContinuation, type PrefillOffer, toPrefill, withDelivered } from './prefill.ts'
import { createContinuation, createSplice, isCaughtUp, isWhole, type Splice, stepSplice } from './splice.ts'
import { createTranscript } from './transcript.ts'

/** What a recovery reports to. */
export interface RecoveryWatch {
  /** A committed answer broke off, after so many characters of it. */
  onBroken(error: GatewayError, characters: number): void
  /** Another answer has repeated all that was delivered, and goes on from there. */
  onRecovered(how: 'restart' | 'prefill'): void
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
export async function recover(run: Run, { call, scope, offer }: Recovered, watch: RecoveryWatch): Promise<Live> {
  const transcript = createTranscript()
  let live = await run.next()
  let splice: Splice | null = null
  let proven = true
  let broken: GatewayError | null = null
  let first: GatewayError | null = null
  let closed = false
  let how: 'restart' | 'prefill' = 'restart'
  /** Characters that the server which answers now was given instead of saying them. */
  let given = 0

  /** The way of a stream that has not broken is short: it is gone once for each piece of each answer. */
  function next(): Promise<readonly Frame[]> {
    if (splice !== null || broken !== null) return nextSpliced()
    return live.next().then(
      frames => {
        const passed = frames.length === 0 ? frames : pass(frames)
        return passed.length > 0 || broken === null ? passed : nextSpliced()
      },
      thrown => {
        broken = toBreak(thrown)
        return nextSpliced()
      },
    )
  }

  async function nextSpliced(): Promise<readonly Frame[]> {
    while (true) {
      if (broken !== null) await goOn(broken)
      try {
        const frames = await live.next()
        if (frames.length === 0) return end()
        const passed = pass(frames)
        if (passed.length > 0) return passed
      } catch (thrown) {
        broken = toBreak(thrown)
      }
    }
  }

  /** Remembers what goes to the caller, and takes out what it has. */
  function pass(frames: readonly Frame[]): readonly Frame[] {
    const passed: Frame[] | null = splice === null ? null : []
    for (let at = 0; at < frames.length; at++) {
      const frame = frames[at]
      if (frame === undefined) continue
      if (frame.kind === 'error') {
        if (!isBreak(frame.error)) return passed === null ? frames : [...passed, frame]
        broken = frame.error
        return passed ?? frames.slice(0, at)
      }
      if (splice === null || passed === null) transcript.note(frame)
      else {
        const result = stepSplice(splice, given > 0 ? withDelivered(frame, given) : frame)
        if (result === 'differs') return differ(passed)
        splice = result[0]
        for (const each of result[1]) {
          transcript.note(each)
          passed.push(each)
        }
      }
    }
    if (!proven) prove()
    return passed ?? frames
  }

  function prove(): void {
    if (splice === null || !isCaughtUp(splice)) return
    proven = true
    watch.onRecovered(how)
  }

  /** What could go on goes out before the error. */
  function differ(passed: readonly Frame[]): readonly Frame[] {
    const error = new GatewayError('stream_interrupted', 'The model server broke off in the middle of its answer.', {
      cause: first,
    })
    live.close()
    watch.onBroken(error, transcript.characters)
    return [...passed, { kind: 'error', error }]
  }

  function end(): readonly Frame[] {
    return closed || splice === null || isWhole(splice) ? [] : differ([])
  }

  /** Lets go of the broken answer, then takes up the next one.
   *
   * @throws GatewayError the first break, when nothing is left. */
  async function goOn(error: GatewayError): Promise<void> {
    broken = null
    first ??= error
    live.close()
    watch.onBroken(error, transcript.characters)
    if (closed || scope.ended !== null || !transcript.comparable) throw scope.ended ?? first
    offer.delivered = toPrefill(call, transcript)
    offer.upstreamModel = live.target.upstreamModel
    offer.taken = false
    try {
      live = await run.next()
    } catch {
      throw scope.ended ?? first
    }
    if (closed) {
      live.close()
      throw first
    }
    await begin()
  }

  /** Finds out whether the answer that is there now goes on, or starts again. */
  async function begin(): Promise<void> {
    const { delivered } = offer
    const prefilled = offer.taken && delivered !== null
    const held = prefilled ? await holdContinuation(live, delivered) : { live, continues: false }
    live = held.live
    how = held.continues ? 'prefill' : 'restart'
    given = held.continues && delivered !== null ? delivered.text.length : 0
    splice = held.continues ? createContinuation(transcript) : createSplice(transcript)
    proven = false
  }

  return {
    get target() {
      return live.target
    },
    get model() {
      return live.model
    },
    next,
    close() {
      closed = true
      live.close()
    },
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
