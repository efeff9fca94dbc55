import { describe, expect, test } from 'bun:test'
import type { Attempt } from '#core/attempt.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import { createScope } from '#core/scope.ts'
import { holdContinuation, toPrefill, withDelivered, withPrefill } from '#policies/prefill.ts'
import { createTranscript } from '#policies/transcript.ts'
import { call, drain, frame, liveOf, model, slotFor, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

const text = 'Once upon a time there was a gateway that never lost a single character of any stream.'
const start = frame('start')

function transcriptOf(...frames: readonly DataFrame[]) {
  const transcript = createTranscript()
  for (const each of [start, ...frames]) transcript.note(each)
  return transcript
}

function deltaOf(delta: object, index = 0): DataFrame {
  return { kind: 'delta', text: '', chunk: { choices: [{ index, delta, finish_reason: null }] }, usage: null }
}

describe('an answer can be gone on from', () => {
  test('when it is plain content, long enough', () => {
    expect(toPrefill(call(), transcriptOf(frame('delta', text)))).toEqual({ text })
  })

  const others: readonly (readonly [string, Parameters<typeof toPrefill>])[] = [
    ['it is short', [call(), transcriptOf(frame('delta', 'Once upon'))]],
    ['it repeats its own beginning', [call(), transcriptOf(frame('delta', text + text))]],
    ['reasoning came too', [call(), transcriptOf(frame('delta', text), deltaOf({ reasoning: 'hm' }))]],
    ['a second choice came', [call(), transcriptOf(frame('delta', text), deltaOf({ content: 'x' }, 1))]],
    ['it finished', [call(), transcriptOf(frame('delta', text), frame('finish'))]],
    ['several choices were asked for', [withBody({ n: 2 }), transcriptOf(frame('delta', text))]],
    ['log probabilities were asked for', [withBody({ logprobs: true }), transcriptOf(frame('delta', text))]],
    ['its form was prescribed', [withBody({ response_format: {} }), transcriptOf(frame('delta', text))]],
    ['the caller began it', [withBody({ messages: [{ role: 'assistant' }] }), transcriptOf(frame('delta', text))]],
    ['it is no chat', [call({ endpoint: 'completions' }), transcriptOf(frame('delta', text))]],
  ]
  test.each(others)('but no prefill is made when %s', (_, given) => {
    expect(toPrefill(...given)).toBeNull()
  })
})

describe('a continuation', () => {
  const judged = async (frames: readonly DataFrame[], end?: Error) => {
    const { live, continues } = await holdContinuation(
      liveOf(
        frames.map(each => [each]),
        end,
      ),
      { text },
    )
    return { continues, passed: await drain(live).catch(() => 'broken') }
  }

  test.each([
    ['new words', [start, frame('delta', ' And'), frame('finish')], true],
    ['nothing but the end', [start, frame('finish')], true],
    ['the same beginning', [start, frame('delta', text.slice(0, 30)), frame('delta', text.slice(30))], false],
    ['the same beginning and then other words, in one piece', [start, frame('delta', `${text.slice(0, 70)}?`)], false],
    ['no end', [start, frame('delta', 'Once')], false],
    ['a part of the beginning', [start, frame('delta', 'Once upon'), frame('finish')], false],
    ['another beginning after some letters', [start, frame('delta', 'Once'), frame('delta', ' more')], true],
    ['reasoning', [start, deltaOf({ reasoning: 'hm' })], false],
  ] as const)('is judged by its beginning: %s', async (_, frames, continues) => {
    expect(await judged(frames)).toEqual({ continues, passed: [...frames] })
  })

  test('that ends with an error while it is held back is taken for a new start', async () => {
    const error = new GatewayError('upstream_error', 'gone')
    const frames: readonly Frame[] = [start, { kind: 'error', error }]
    const { live, continues } = await holdContinuation(liveOf([frames]), { text })

    expect([continues, await live.next()]).toEqual([false, frames])
  })

  test('that breaks while it is held back is taken for a new start', async () => {
    const end = new GatewayError('upstream_error', 'gone')

    expect(await judged([start], end)).toEqual({ continues: false, passed: 'broken' })
  })
})

describe('the count of a continuation', () => {
  const counted = (input: number, output: number): DataFrame => ({
    ...frame('usage'),
    chunk: { choices: [], usage: { prompt_tokens: input, completion_tokens: output, total_tokens: input + output } },
    usage: { input, cacheRead: 0, cacheWrite: 0, output, reasoning: 0, estimated: false },
  })

  test.each([
    ['what was delivered before it, as output and not as prompt', 35, [90, 17]],
    ['no more than the prompt, as output', 4000, [0, 107]],
  ] as const)('counts %s', (_, characters, [input, output]) => {
    const { usage, chunk, text: sent } = withDelivered(counted(100, 7), characters)

    expect(usage).toMatchObject({ input, output, estimated: true })
    expect(chunk.usage).toEqual({ prompt_tokens: input, completion_tokens: output, total_tokens: 107 })
    expect(JSON.parse(sent.slice('data: '.length))).toEqual(chunk)
  })
})

describe('an attempt', () => {
  /** What an attempt is given, over a target whose model continues or not. */
  async function given(more: {
    readonly prefill?: boolean
    readonly upstreamModel?: string
    readonly dialect?: boolean
    readonly fails?: Code
    readonly left?: boolean
    readonly ends?: boolean
  }) {
    const { prefill = true, upstreamModel = 'm', dialect = true, fails, left = true, ends = false } = more
    const only = target('a')
    const capabilities = { context_length: null, tools: null, vision: null, prefill }
    const slot = slotFor({ target: only, model: model('m', [only], { capabilities }), reason: 'test' })
    const seen: unknown[] = []
    const attempt: Attempt = async ({ delivered }) => {
      seen.push(delivered?.text)
      if (ends) scope.cancel(new GatewayError('client_closed_request', 'gone'))
      if (delivered !== undefined && fails !== undefined) throw new GatewayError(fails, fails)
      return liveOf([])
    }
    const offer = { delivered: { text }, upstreamModel, taken: false }
    const again = { takeOne: () => left }
    const scope = createScope(fakeClock())
    const tried = withPrefill(attempt, offer, () => dialect)({ call: call(), slot, scope, again })
    const code = await tried.then(
      () => null,
      (error: GatewayError) => error.code,
    )
    return { seen, code, taken: offer.taken }
  }

  test('is given what was delivered when the model continues', async () => {
    expect(await given({})).toEqual({ seen: [text], code: null, taken: true })
  })

  test.each([{ prefill: false }, { upstreamModel: 'other' }, { dialect: false }])(
    'is not given what was delivered with %o',
    async more => {
      expect(await given(more)).toEqual({ seen: [undefined], code: null, taken: false })
    },
  )

  test('starts again when it is refused', async () => {
    expect(await given({ fails: 'invalid_request' })).toEqual({ seen: [text, undefined], code: null, taken: false })
  })

  test('fails when it is refused and was the last one', async () => {
    const refused = await given({ fails: 'invalid_request', left: false })

    expect(refused).toEqual({ seen: [text], code: 'invalid_request', taken: false })
  })

  test('asks nobody again for who has left', async () => {
    expect(await given({ fails: 'client_closed_request', ends: true })).toMatchObject({ seen: [text] })
  })

  test.each(['upstream_error', 'provider_rate_limited', 'upstream_timeout'] as const)(
    'fails with %s without being made again',
    async code => {
      expect(await given({ fails: code })).toEqual({ seen: [text], code, taken: false })
    },
  )
})

function withBody(more: object) {
  const { body } = call()
  return call({ body: { ...body, ...more } })
}
