import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { assemble } from '#cache/assemble.ts'
import { toChunks } from '#cache/chunks.ts'
import { replay, replayPlain } from '#cache/replay.ts'
import { withNullUsage, withoutNullUsage } from '#cache/usage-fields.ts'
import { createScope } from '#core/scope.ts'
import { replayed } from '#gateway/answers/replayed.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { writeSse } from '#lib/sse.ts'
import { answerOf } from '#tests/contract/cache.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { chatEvents } from '#tests/support/openai-upstream.ts'

const fresh = { id: 'chatcmpl-new', created: 1_800_000_000 }
const clock = fakeClock()

describe('a stream that is stored', () => {
  const events = [1, 2, 3].map(at => writeSse(`{"id":"chatcmpl-1","created":1700000000,"n":${at}}`))
  const stored = answerOf(events.join(''), clock, { form: 'stream', count: '' })

  test('leaves at once when it is short, with the new id and time', () => {
    const beats = [...replay(stored, call(), fresh)]

    expect(beats.map(({ atMs }) => atMs)).toEqual([0, 0])
    expect(beats.flatMap(({ frames }) => frames.map(({ text }) => text)).join('')).toBe(
      events.join('').replaceAll('chatcmpl-1', fresh.id).replaceAll('1700000000', String(fresh.created)),
    )
  })

  test('leaves event by event where its pace was kept', async () => {
    const live = replayed(
      { ...stored, pace: [0, 40, 100] },
      { call: call(), model: model('m', []), target: target('a'), clock, scope: createScope(clock), id: 'i' },
    )
    const moments: number[] = []
    const start = clock.now()
    const reading = (async () => {
      for (let frames = await live.next(); frames.length > 0; frames = await live.next())
        moments.push(clock.now() - start)
    })()
    for (let ms = 0; ms < 120; ms += 10) {
      await settled()
      clock.advance(10)
    }
    await reading

    expect(moments).toEqual([0, 40, 100, 100])
  })

  test('keeps its pace no longer than the request may take', async () => {
    const scope = createScope(clock, { within: 50 })
    const live = replayed(
      { ...stored, pace: [0, 40, 100] },
      { call: call(), model: model('m', []), target: target('a'), clock, scope, id: 'i' },
    )
    const reading = (async () => {
      for (let frames = await live.next(); frames.length > 0; frames = await live.next());
    })()
    reading.catch(() => {})
    for (let ms = 0; ms < 70; ms += 10) {
      await settled()
      clock.advance(10)
    }

    expect(scope.ended).not.toBeNull()
    await expect(reading).rejects.toThrow('longer than the time allowed')
  })

  test('leaves whole events only, however long it is', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 12 }), sizes => {
        const all = sizes.map(size => writeSse(JSON.stringify({ content: 'x'.repeat(size) })))
        const texts = [...replay({ ...stored, text: all.join('') }, call(), fresh)].flatMap(({ frames }) =>
          frames.map(({ text }) => text),
        )

        expect(texts.join('')).toBe(all.join(''))
        for (const text of texts) expect(text === '' || text.endsWith('\n\n')).toBe(true)
      }),
      { numRuns: 30 },
    )
  })
})

describe('the id and time of a replay', () => {
  test('never stand in for content that looks like them', () => {
    const said = 'I am {"id":"chatcmpl-1","created":1700000000}, "usage":null'
    const body = { id: 'chatcmpl-1', created: 1_700_000_000, choices: [{ message: { content: said } }] }
    for (const text of [JSON.stringify(body), JSON.stringify(body, null, 1)]) {
      const frame = replayPlain(answerOf(text, clock), call({ stream: false }), fresh)

      expect(JSON.parse(frame.text)).toEqual({ ...body, ...fresh })
    }
  })

  test('are new in each plain answer that a stored stream becomes, which is put together once', () => {
    const events = ['One', ' two'].map(content =>
      writeSse(
        JSON.stringify({ id: 'chatcmpl-1', created: 1_700_000_000, choices: [{ index: 0, delta: { content } }] }),
      ),
    )
    let reads = 0
    const stored = {
      ...answerOf('', clock, { form: 'stream', count: '' }),
      get text() {
        reads++
        return events.join('')
      },
    }
    const asked = call({ stream: false })
    const said = (of: typeof fresh) => {
      const { id, created, choices } = JSON.parse(replayPlain(stored, asked, of).text)
      return [id, created, choices[0].message.content]
    }

    expect(said(fresh)).toEqual([fresh.id, fresh.created, 'One two'])
    expect(said({ id: 'chatcmpl-other', created: 1_900_000_000 })).toEqual(['chatcmpl-other', 1_900_000_000, 'One two'])
    expect(reads).toBe(1)
  })

  test('are as the caller asked for: `usage` only beside a count', () => {
    const text = writeSse('{"choices":[{"delta":{"content":"\\"usage\\":null}"}}]}')

    expect(withoutNullUsage(withNullUsage(text))).toBe(text)
    expect(withNullUsage(text)).toBe(writeSse('{"choices":[{"delta":{"content":"\\"usage\\":null}"}}],"usage":null}'))
    expect(withNullUsage(withNullUsage(text))).toBe(withNullUsage(text))
  })
})

describe('a stream and a plain answer', () => {
  const head = { id: 'a', created: 1, model: 'm', system_fingerprint: 'fp' }
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
  const answers: readonly (readonly [
    name: string,
    endpoint: 'chat' | 'completions',
    choices: readonly JsonObject[],
  ])[] = [
    [
      'text',
      'chat',
      [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hi', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
    ],
    [
      'tool calls and reasoning',
      'chat',
      [
        {
          index: 0,
          message: {
            role: 'assistant',
            content: null,
            refusal: null,
            reasoning_content: 'hm',
            tool_calls: [
              { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } },
              { id: 'call_2', type: 'function', function: { name: 'g', arguments: '{}' } },
            ],
          },
          logprobs: null,
          finish_reason: 'tool_calls',
        },
      ],
    ],
    [
      'several choices with log probabilities',
      'chat',
      [0, 1].map(index => ({
        index,
        message: { role: 'assistant', content: `c${index}`, refusal: null },
        logprobs: { content: [{ token: 'c', logprob: -1 }], refusal: null },
        finish_reason: 'stop',
      })),
    ],
    ['a text completion', 'completions', [{ index: 0, text: 'Hi', logprobs: null, finish_reason: 'stop' }]],
  ]

  for (const [name, endpoint, choices] of answers) {
    test(`${name}: apart and together again is the same`, () => {
      const object = endpoint === 'chat' ? 'chat.completion' : 'text_completion'
      const answer: JsonObject = { ...head, object, choices, usage }
      const { content, count } = toChunks(answer, endpoint)

      expect(assemble([...content, ...(count === null ? [] : [count])], endpoint)).toEqual(answer)
    })
  }

  test('log probabilities come behind the first chunk of their choice: libraries count what stands in that one twice', () => {
    const logprobs = { content: [{ token: 'Hi', logprob: -1 }], refusal: null }
    const choices = [{ index: 0, message: { role: 'assistant', content: 'Hi' }, logprobs, finish_reason: 'stop' }]
    const chunks = toChunks({ ...head, choices }, 'chat').content.flatMap(chunk => chunk.choices)

    expect(chunks).toMatchObject([
      { delta: { role: 'assistant' }, logprobs: null },
      { delta: { content: 'Hi' }, logprobs },
      { delta: {}, logprobs: null, finish_reason: 'stop' },
    ])
  })

  test('pieces of a tool call come together, wherever they were cut', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 6 }), pieces => {
        const delta = (call: JsonObject) => ({
          choices: [{ index: 0, delta: { tool_calls: [{ index: 0, ...call }] } }],
        })
        const chunks = [
          delta({ id: 'call_1', type: 'function', function: { name: 'f', arguments: '' } }),
          ...pieces.map(piece => delta({ function: { arguments: piece } })),
          { choices: [{ index: 0, delta: {}, finish_reason: 'tool_calls' }] },
        ]
        const { choices } = assemble(chunks, 'chat')
        const [choice] = Array.isArray(choices) ? choices : []

        expect(isObject(choice) && choice.message).toEqual({
          role: 'assistant',
          content: null,
          refusal: null,
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: pieces.join('') } }],
        })
      }),
    )
  })

  // What comes anew with each chunk must not be copied with each chunk: these took minutes.
  test.each<[string, (at: number) => JsonObject]>([
    ['the chunk', at => ({ [`x${at}`]: at, choices: [{ index: 0, delta: { content: 'a' } }] })],
    ['its choice', at => ({ choices: [{ index: 0, [`x${at}`]: at, delta: { content: 'a' } }] })],
    ['its delta', at => ({ choices: [{ index: 0, delta: { [`x${at}`]: at, content: 'a' } }] })],
    ['an object in it', at => ({ choices: [{ index: 0, delta: { audio: { [`x${at}`]: at } } }] })],
  ])('chunks that each name something new in %s are put together in time', (_, chunk) => {
    const begun = performance.now()
    const text = JSON.stringify(
      assemble(
        Array.from({ length: 20_000 }, (_, at) => chunk(at)),
        'chat',
      ),
    )

    expect(text).toContain('"x0":0')
    expect(text).toContain('"x19999":19999')
    expect(performance.now() - begun).toBeLessThan(5000)
  })

  test('the recorded chunks of a server make its plain answer', () => {
    const chunks = chatEvents('test-model', {}, true).filter(isObject)

    expect(assemble(chunks, 'chat')).toMatchObject({
      object: 'chat.completion',
      choices: [{ index: 0, message: { role: 'assistant', content: 'Hello there!' }, finish_reason: 'stop' }],
      usage: { total_tokens: 10 },
    })
  })
})
