import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Said } from '#core/bypass.ts'
import type { Call } from '#core/call.ts'
import { createScope } from '#core/scope.ts'
import { countFrame, countSaid } from '#gateway/settle.ts'
import { readUpstream } from '#gateway/upstream/upstream.ts'
import { createTranscript } from '#policies/transcript.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import type { Incoming, Taker } from '#providers/transport.ts'
import { callOf, isModelCall } from '#tests/providers/replay.ts'
import { call, server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordedCases } from '#tests/support/recorded.ts'
import { recordOf } from '#tests/support/records.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { piecesOf, type Split, seededSplits } from '#tests/support/splits.ts'

/** What a caller and the record have of a stream. */
interface Outcome {
  text: string
  error: string | null
  frames: number
  characters: number
  payload: string
  remembered: unknown
  skipped: number
  /** Events that were passed on unread. */
  passed: number
}

/** An answer whose pieces come one by one, each when the one before has been dealt with. */
class Pieces implements Incoming {
  readonly head = { status: 200, header: () => null }
  private taker: Taker | null = null
  private waiting: ((bytes: Uint8Array | null) => void) | null = null
  private closed = false

  read(): Promise<Uint8Array | null> {
    if (this.closed) return Promise.resolve(null)
    return new Promise(resolve => {
      this.waiting = resolve
    })
  }

  divert(taker: Taker): void {
    this.taker = taker
  }

  text(): Promise<string> {
    throw new Error('a stream is not read as a whole')
  }

  close(): void {
    this.closed = true
    this.give(null)
  }

  give(piece: Uint8Array | null): void {
    const { waiting } = this
    if (waiting === null) return
    let from = 0
    if (piece !== null && this.taker !== null) from = this.taker(Buffer.from(piece), 0, piece.length)
    if (piece !== null && from === piece.length) return
    this.waiting = null
    waiting(piece === null ? null : piece.subarray(from))
  }
}

/** Reads a stream to its end, the short way where that is possible, or the long one. */
async function outcomeOf(
  body: string | Uint8Array,
  split: Split | 'every-byte',
  short: boolean,
  asked: Call = call(),
  takes: (said: Said) => boolean = () => true,
): Promise<Outcome> {
  const clock = fakeClock()
  const incoming = new Pieces()
  const record = { ...recordOf(), contentFrames: 0, contentChars: 0, payload: { prompt: '', answer: '' } }
  const transcript = createTranscript()
  const outcome = { text: '', error: null as string | null, skipped: 0, passed: 0 }
  const stream = readUpstream({
    incoming,
    provider: openaiCompatible,
    call: asked,
    scope: createScope(clock),
    clock,
    idleMs: 1000,
    server: server('a'),
    onSkipped: () => outcome.skipped++,
    onEnd: () => {},
  })
  if (short) {
    stream.bypass?.(said => {
      if (!takes(said)) return false
      outcome.text += said.written
      outcome.passed += said.events
      countSaid(record, said)
      transcript.say(said)
      return true
    })
  }
  const reading = (async () => {
    for (let frames = await stream.next(); frames.length > 0; frames = await stream.next()) {
      for (const frame of frames) {
        if (frame.kind === 'error') throw frame.error
        outcome.text += frame.text
        countFrame(record, frame, clock)
        transcript.note(frame)
      }
    }
  })().catch(thrown => {
    outcome.error = String(thrown)
  })
  for (const piece of piecesOf(body, split)) {
    incoming.give(piece)
    await settled()
  }
  incoming.close()
  await reading
  const { contentFrames: frames, contentChars: characters, payload } = record
  const remembered = { head: transcript.head, comparable: transcript.comparable, choices: [...transcript.choices] }
  return { ...outcome, frames, characters, payload: payload.answer, remembered }
}

/** Holds the short way to the long one; answers with the events that took it. */
async function compare(body: string | Uint8Array, split: Split | 'every-byte', asked?: Call): Promise<number> {
  const { passed, ...quick } = await outcomeOf(body, split, true, asked)
  const { passed: _, ...slow } = await outcomeOf(body, split, false, asked)
  expect(quick).toEqual(slow)
  return passed
}

const chunk = (delta: object, more: object = {}, own: object = {}) =>
  `data: ${JSON.stringify({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: 'm',
    choices: [{ index: 0, delta, logprobs: null, finish_reason: null, ...own }],
    ...more,
  })}\n\n`
const BEGIN = chunk({ role: 'assistant', content: '' })
const END = `${chunk({}, {}, { finish_reason: 'stop' })}data: [DONE]\n\n`
const words = (count: number, more: object = {}) =>
  Array.from({ length: count }, (_, at) => chunk({ content: `word ${at} ` }, more))

/** Where each of these events ends. */
function endsOf(events: readonly string[]): Split {
  const ends: number[] = []
  let at = 0
  for (const event of events.slice(0, -1)) {
    at += Buffer.byteLength(event)
    ends.push(at)
  }
  return ends
}

describe('events that are alike', () => {
  test('pass unread from the second one on', async () => {
    const events = [BEGIN, ...words(20), END]

    expect(await compare(events.join(''), endsOf(events))).toBe(19)
  })

  test('pass as bytes also when many arrive at once', async () => {
    const events = [BEGIN, ...words(2), words(30).join(''), END]

    expect(await compare(events.join(''), endsOf(events))).toBe(31)
  })

  test('lose what a caller did not ask for', async () => {
    const events = [BEGIN, ...words(20, { usage: null }), END]
    const { text, passed } = await outcomeOf(events.join(''), endsOf(events), true)

    expect(passed).toBe(19)
    expect(text).not.toContain('usage')
    await compare(events.join(''), endsOf(events))
  })

  test('pass as bytes also with padding of different lengths', async () => {
    const padded = Array.from({ length: 10 }, (_, at) => chunk({ content: `${at}` }, { obfuscation: 'x'.repeat(at) }))
    const events = [BEGIN, ...padded, END]

    expect(await compare(events.join(''), endsOf(events))).toBe(9)
  })

  test('come as frames where they cannot be taken', async () => {
    const events = [BEGIN, ...words(9), END]
    let asked = 0
    const taken = await outcomeOf(events.join(''), endsOf(events), true, call(), () => ++asked % 2 === 0)
    const slow = await outcomeOf(events.join(''), endsOf(events), false)

    expect(taken).toEqual({ ...slow, passed: 4 })
  })

  test('are read again when one of them differs, and pass when they are alike again', async () => {
    const later = { created: 1_700_000_001 }
    const events = [BEGIN, ...words(5), ...words(5, later), END]

    expect(await compare(events.join(''), endsOf(events))).toBe(8)
  })

  test('are not looked for without end where no two are alike', async () => {
    const events = [BEGIN, ...Array.from({ length: 40 }, (_, at) => chunk({ content: 'a' }, { created: at })), END]

    expect(await compare(events.join(''), endsOf(events))).toBe(0)
  })

  test('are read where the name of their text occurs twice, however it is written', async () => {
    for (const colon of [':', ' :', '\t:']) {
      const twice = words(5).map(event => event.replace('"},', `","content"${colon}"the last one counts"},`))
      const events = [BEGIN, ...twice, END]

      expect(await compare(events.join(''), endsOf(events))).toBe(0)
    }
  })

  test('are read behind half an event', async () => {
    const body = [BEGIN, ...words(20), END].join('')
    for (let at = 1; at < 400; at += 7) await compare(body, [BEGIN.length, BEGIN.length + at, BEGIN.length + at + 190])
  })
})

/** What servers send between and instead of the usual chunk. */
const others = fc.oneof(
  { weight: 12, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }).map(content => chunk({ content })) },
  { weight: 2, arbitrary: fc.string({ maxLength: 8 }).map(text => chunk({ content: null, reasoning_content: text })) },
  { weight: 1, arbitrary: fc.string({ maxLength: 4 }).map(text => chunk({ content: text }, { usage: null })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ': keep-alive\n\n',
      'data: {"choices":[{"delta":{"content":"half"\n\n',
      'event: other\ndata: {}\n\n',
      'id: 7\n',
      'data: \n\n',
      chunk({ content: 'a' }, {}, { index: 1 }),
      chunk(
        { content: 'a' },
        {},
        { logprobs: { content: [{ token: 'a', logprob: -1, bytes: null, top_logprobs: [] }] } },
      ),
      chunk({ tool_calls: [{ index: 0, id: 'c', type: 'function', function: { name: 'f', arguments: '' } }] }),
      chunk({ content: 'a' }, { usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }),
      chunk({ content: 'a' }).replaceAll('\n', '\r\n'),
      chunk({}, {}, { finish_reason: 'stop' }),
      'data: {"error":{"message":"no","type":"server_error"}}\n\n',
    ),
  },
)

test('whatever comes, the short way gives what the long one gives', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(others, { minLength: 1, maxLength: 30 }),
      fc.array(fc.nat(4000), { maxLength: 12 }),
      fc.boolean(),
      fc.boolean(),
      async (events, cuts, wantsUsage, aligned) => {
        const all = [BEGIN, ...events, END]
        const body = all.join('')
        const free = [...new Set(cuts)].filter(at => at > 0 && at < Buffer.byteLength(body)).sort((a, b) => a - b)
        await compare(body, aligned ? endsOf(all) : free, call({ wantsUsage }))
      },
    ),
    { seed: 3, numRuns: 400 },
  )
})

describe.skipIf(sharedDir() === null)('recorded streams', () => {
  const streams = ['openai', 'openai-compatible', 'deepseek']
    .flatMap(recordedCases)
    .filter(isModelCall)
    .filter(({ streamed, status }) => streamed && status === 200)

  test.each(streams.map(each => [each.name, each] as const))(
    'pass as bytes without being parsed, too: %s',
    async (_, recorded) => {
      const ends: number[] = []
      for (let at = recorded.text.indexOf('\n\n'); at >= 0; at = recorded.text.indexOf('\n\n', at + 2)) {
        ends.push(Buffer.byteLength(recorded.text.slice(0, at + 2)))
      }
      await compare(recorded.text, ends.slice(0, -1), callOf(recorded))
      for (const split of seededSplits(recorded.text, 4, 1)) await compare(recorded.text, split, callOf(recorded))
    },
  )
})
