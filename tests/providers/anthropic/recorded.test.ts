import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { GatewayError } from '#core/errors.ts'
import { answers, anthropic, askedFor, failures, messages, streams } from '#tests/providers/anthropic/cases.ts'
import { dataFrames, replay, resultOf, textsOf } from '#tests/providers/replay.ts'
import { chatCompletion, chatCompletionChunk, chunkProblems, schemaProblems } from '#tests/support/openai-schema.ts'
import { type RecordedCase, recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { splitsOf } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'

const named = (cases: readonly RecordedCase[]) => cases.map(each => [each.name, each] as const)

/** What the tests read of an event. */
interface Event {
  readonly delta?: {
    readonly text?: string
    readonly thinking?: string
    readonly partial_json?: string
    readonly signature?: string
  }
  readonly content_block?: { readonly data?: string }
}

/** What they read of a block. */
interface Block {
  readonly type: string
  readonly text?: string
  readonly thinking?: string
  readonly id?: string
  readonly input?: object
}

/** What callers keep of a thought. */
interface Detail {
  readonly text?: string
  readonly signature?: string
  readonly data?: string
}

function eventsOf(recorded: RecordedCase): Event[] {
  return [...recorded.text.matchAll(/^data: (.*)$/gm)].map(([, data]) => JSON.parse(data ?? ''))
}

function framesOf(recorded: RecordedCase) {
  return dataFrames(replay(anthropic, askedFor(recorded), recorded.text).frames)
}

function answerOf(recorded: RecordedCase) {
  const answer = anthropic.decode(askedFor(recorded), recorded.text)
  if (answer instanceof GatewayError) throw answer
  return answer
}

describe.skipIf(sharedDir() === null)('recorded streams', () => {
  for (const usage of [false, true]) {
    test.each(named(streams))(
      `please a strict client that ${usage ? 'asked' : 'did not ask'} for usage: %s`,
      (_, recorded) => {
        const { frames, skipped } = replay(anthropic, askedFor(recorded, { wantsUsage: usage }), recorded.text)
        const texts = textsOf(frames, usage)

        expect(skipped).toBe(0)
        expect(strictProblems(texts, { usage })).toEqual([])
        expect(chunkProblems(chatCompletionChunk, texts)).toEqual([])
      },
    )
  }

  test.each(named(streams))('do not depend on the split: %s', (_, recorded) => {
    const asked = askedFor(recorded)
    const expected = resultOf(replay(anthropic, asked, recorded.text))

    for (const split of splitsOf(recorded.text)) {
      expect(resultOf(replay(anthropic, asked, recorded.text, split))).toBe(expected)
    }
    expect(resultOf(replay(anthropic, asked, recorded.text, 'every-byte'))).toBe(expected)
  })

  test('do not depend on pings, comments and events to come between the others, nor on the split', () => {
    const noise = [
      'event: ping\ndata: {"type": "ping"}\n\n',
      ': keep-alive\n\n',
      'event: news\ndata: {"type":"news"}\n\n',
    ]
    const insertion = fc.tuple(fc.nat({ max: 60 }), fc.constantFrom(...noise))

    fc.assert(
      fc.property(
        fc.constantFrom(...streams),
        fc.array(insertion, { maxLength: 12 }),
        fc.array(fc.nat({ max: 6000 }), { maxLength: 12 }),
        (recorded, insertions, cuts) => {
          const events = `${recorded.text.trimEnd()}\n\n`.split(/(?<=\n\n)/)
          for (const [at, text] of insertions) events.splice(at, 0, text)
          const noisy = events.join('')
          const split = [...new Set(cuts)].sort((a, b) => a - b)

          const result = resultOf(replay(anthropic, askedFor(recorded), noisy, split))

          expect(result).toBe(resultOf(replay(anthropic, askedFor(recorded), recorded.text)))
        },
      ),
      { numRuns: 300 },
    )
  })

  test.each(named(streams))('keep their text, thoughts and arguments: %s', (_, recorded) => {
    const deltas = framesOf(recorded)
      .flatMap(frame => frame.chunk.choices ?? [])
      .map(choice => choice.delta ?? {})
    const given = eventsOf(recorded).map(event => event.delta ?? {})
    const join = (pieces: unknown[]) => pieces.filter(piece => typeof piece === 'string').join('')

    expect(join(deltas.map(delta => delta.content))).toBe(join(given.map(delta => delta.text)))
    expect(join(deltas.map(delta => delta.reasoning_content))).toBe(join(given.map(delta => delta.thinking)))
    const inputs = deltas.flatMap(delta => delta.tool_calls ?? []).map(call => call.function?.arguments)
    expect(join(inputs).replaceAll('{}', '')).toBe(join(given.map(delta => delta.partial_json)))
  })

  test.each([
    ['text', 'stop'],
    ['stop-sequence', 'stop'],
    ['cache-read', 'length'],
    ['tool', 'tool_calls'],
    ['tool-no-args', 'tool_calls'],
    ['tool-with-text', 'tool_calls'],
    ['thinking-tool', 'tool_calls'],
    ['refusal', 'content_filter'],
  ])('end for the reason that the server gave: %s is %s', (name, reason) => {
    const choices = framesOf(recordedCase(`anthropic/messages-stream-${name}`)).flatMap(
      frame => frame.chunk.choices ?? [],
    )

    expect(choices.map(choice => choice.finish_reason).filter(Boolean)).toEqual([reason])
  })

  test('tell why the model refused', () => {
    const frames = framesOf(recordedCase('anthropic/messages-stream-refusal'))

    const refusals = frames.map(frame => frame.chunk.choices?.[0]?.delta?.refusal).filter(Boolean)
    expect(refusals).toEqual([expect.stringContaining("blocked under Anthropic's Usage Policy")])
  })

  test.each([
    ['tool', ['{}', '{}']],
    ['tool-no-args', ['{}']],
    ['tool-with-text', ['{"location": "San Francisco, CA", "unit": "celsius"}', '{"timezone": "America/Los_Angeles"}']],
  ])('give the arguments of each tool: %s', (name, expected) => {
    const calls = framesOf(recordedCase(`anthropic/messages-stream-${name}`))
      .flatMap(frame => frame.chunk.choices ?? [])
      .flatMap(choice => choice.delta?.tool_calls ?? [])

    const args = expected.map((_, index) =>
      calls.map(call => (call.index === index ? (call.function?.arguments ?? '') : '')).join(''),
    )
    expect(args).toEqual(expected)
    expect(calls.filter(call => call.id !== undefined).map(call => call.index)).toEqual(expected.map((_, at) => at))
  })

  test.each([
    ['text', { input: 17, cacheRead: 0, cacheWrite: 0, output: 10, reasoning: 0 }],
    ['cache-read', { input: 11, cacheRead: 1031, cacheWrite: 0, output: 100, reasoning: 0 }],
    ['delta-input-tokens', { input: 61, cacheRead: 0, cacheWrite: 0, output: 2, reasoning: 0 }],
    ['thinking-tool', { input: 598, cacheRead: 0, cacheWrite: 0, output: 92, reasoning: 53 }],
  ])('are counted once, last, in classes that do not overlap: %s', (name, usage) => {
    const frames = framesOf(recordedCase(`anthropic/messages-stream-${name}`))

    expect(frames.filter(frame => frame.usage !== null)).toHaveLength(1)
    expect(frames.at(-1)).toMatchObject({ kind: 'usage', usage: { ...usage, estimated: false } })
    expect(frames.at(-1)?.chunk.usage).toMatchObject({
      prompt_tokens: usage.input + usage.cacheRead + usage.cacheWrite,
      completion_tokens: usage.output,
      total_tokens: usage.input + usage.cacheRead + usage.cacheWrite + usage.output,
      prompt_tokens_details: { cached_tokens: usage.cacheRead, cache_write_tokens: usage.cacheWrite },
      completion_tokens_details: { reasoning_tokens: usage.reasoning },
    })
  })

  test.each(['thinking', 'thinking-tool', 'thinking-redacted'])('keep the signatures of thoughts: %s', name => {
    const recorded = recordedCase(`anthropic/messages-stream-${name}`)
    const deltas = framesOf(recorded)
      .flatMap(frame => frame.chunk.choices ?? [])
      .map(choice => choice.delta)
    const details = deltas.flatMap(delta => (delta as { reasoning_details?: Detail[] }).reasoning_details ?? [])

    const events = eventsOf(recorded)
    const signatures = events.flatMap(event => event.delta?.signature ?? event.content_block?.data ?? [])
    expect(signatures).not.toEqual([])
    expect(details.map(detail => detail.signature ?? detail.data)).toEqual(signatures)
    expect(details.map(detail => detail.text ?? '').join('')).toBe(
      events.map(event => event.delta?.thinking ?? '').join(''),
    )
  })
})

describe.skipIf(sharedDir() === null)('recorded answers', () => {
  test.each(named(answers))('are what OpenAI would answer: %s', (_, recorded) => {
    const answer = answerOf(recorded)

    expect(schemaProblems(chatCompletion, JSON.parse(answer.text))).toEqual([])
    expect(JSON.parse(answer.text)).toEqual(JSON.parse(JSON.stringify(answer.chunk)))
    expect(answer.kind).toBe('finish')
    expect(answer.usage?.estimated).toBe(false)
  })

  test.each(named(answers))('keep their text and tools: %s', (_, recorded) => {
    const message = answerOf(recorded).chunk.choices?.[0]?.message
    const { content } = recorded.body as { content: Block[] }

    expect(message?.content ?? '').toBe(content.map(block => block.text ?? '').join(''))
    expect(message?.reasoning_content ?? '').toBe(content.map(block => block.thinking ?? '').join(''))
    expect((message?.tool_calls ?? []).map(call => [call.id, JSON.parse(call.function?.arguments ?? '')])).toEqual(
      content.filter(block => block.type === 'tool_use').map(block => [block.id, block.input]),
    )
  })

  test.each([
    ['text', 'stop'],
    ['stop-sequence', 'stop'],
    ['cache-write', 'length'],
    ['tool-parallel', 'tool_calls'],
    ['thinking-tool', 'tool_calls'],
    ['refusal', 'content_filter'],
  ])('end for the reason that the server gave: %s is %s', (name, reason) => {
    const answer = answerOf(recordedCase(`anthropic/messages-${name}`))

    expect(answer.chunk.choices?.map(choice => choice.finish_reason)).toEqual([reason])
  })

  test.each([
    ['cache-read', { input: 11, cacheRead: 2055, cacheWrite: 0, output: 100 }],
    ['cache-write', { input: 18, cacheRead: 0, cacheWrite: 2055, output: 100 }],
  ])('count the tokens of the prompt cache apart: %s', (name, usage) => {
    expect(answerOf(recordedCase(`anthropic/messages-${name}`)).usage).toMatchObject(usage)
  })

  test('tell why the model refused', () => {
    const answer = answerOf(recordedCase('anthropic/messages-refusal'))

    expect(answer.chunk.choices?.[0]?.message).toMatchObject({
      content: null,
      refusal: expect.stringContaining('violative cyber content'),
    })
  })

  test('carry the time at which they arrived', () => {
    expect(JSON.parse(answerOf(recordedCase('anthropic/messages-text')).text)).toMatchObject({ created: 1_700_000_000 })
  })
})

describe.skipIf(sharedDir() === null)('recorded failures', () => {
  const CODES: Readonly<Record<string, string>> = {
    'anthropic/error-400-prompt-too-long': 'context_length_exceeded',
    'anthropic/error-401': 'upstream_auth_failed',
    'anthropic/error-529-overloaded': 'upstream_error',
    'anthropic/stream-error-event-overloaded': 'upstream_error',
  }

  test.each(named(failures))('%s', (name, recorded) => {
    const { frames } = replay(anthropic, askedFor(recorded), recorded.text)
    const inBand = frames.flatMap(frame => (frame.kind === 'error' ? [frame.error] : []))[0]
    const head = { status: recorded.status, header: (wanted: string) => recorded.headers[wanted] ?? null }

    const error = recorded.status === 200 ? inBand : anthropic.decodeError(head, recorded.text)

    expect(error?.code).toBe(CODES[name] as never)
  })

  test('are all listed here, and every recorded call is tested', () => {
    expect(failures.map(({ name }) => name)).toEqual(Object.keys(CODES))
    expect(messages).toHaveLength(streams.length + answers.length + failures.length)
  })

  test('of an overloaded server may be tried elsewhere', () => {
    const recorded = recordedCase('anthropic/error-529-overloaded')

    const error = anthropic.decodeError({ status: 529, header: () => null }, recorded.text)

    expect(error).toMatchObject({ retryable: true, message: 'The model server is overloaded; try again later.' })
  })
})

test('the list of models is read', () => {
  const recorded = recordedCase('anthropic/models-list')

  const models = anthropic.catalog.decodeList(recorded.text)

  expect(models).toHaveLength(10)
  expect(models[0]).toEqual({
    id: 'claude-opus-4-5-20251101',
    contextLength: null,
    created: 1_763_942_400,
    ownedBy: 'anthropic',
    embedding: false,
  })
})
