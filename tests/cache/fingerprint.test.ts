import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { fingerprint, type Question } from '#cache/fingerprint.ts'
import type { Endpoint } from '#core/call.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { anyone } from '#tests/support/calls.ts'
import { chatRequest } from '#wire/chat.ts'
import { completionRequest } from '#wire/completions.ts'
import { embeddingRequest } from '#wire/embeddings.ts'

/** What only changes how an answer is sent, or who is named in it. Everything else must count. */
const NEUTRAL = ['stream', 'stream_options', 'user', 'metadata', 'cache']

const schemas = { chat: chatRequest, completions: completionRequest, embeddings: embeddingRequest } as const
const prompts: Readonly<Record<Endpoint, JsonObject>> = {
  chat: { messages: [{ role: 'user', content: 'Hi' }] },
  completions: { prompt: 'Hi' },
  embeddings: { input: 'Hi' },
}

function question(more: Partial<Question> = {}): Question {
  const body = more.body ?? prompts.chat
  return {
    endpoint: 'chat',
    caller: { ...anyone, id: 'web', role: 'caller' },
    address: '203.0.113.7',
    scope: 'key',
    models: ['chat'],
    text: JSON.stringify(body),
    server: null,
    strategy: null,
    ...more,
    body,
  }
}

const ofBody = (body: JsonObject, endpoint: Endpoint = 'chat') => fingerprint(question({ body, endpoint }))

/** Two values of a parameter that differ in every way that a body can. */
const values: readonly JsonValue[] = [0, 1, 0.5, '', 'a', true, false, null, [], ['a'], {}, { a: 1 }, { a: 2 }]

describe('the parameters of the OpenAI request', () => {
  for (const endpoint of ['chat', 'completions', 'embeddings'] as const) {
    const names = Object.keys(schemas[endpoint].shape).filter(name => name !== 'model')

    test(`all of them are walked: ${endpoint}`, () => {
      expect(names.length).toBeGreaterThan(4)
    })

    for (const name of names) {
      test(`${endpoint}: ${name} ${NEUTRAL.includes(name) ? 'is neutral' : 'counts'}`, () => {
        const all = [ofBody(prompts[endpoint], endpoint)]
        for (const value of values) all.push(ofBody({ ...prompts[endpoint], [name]: value }, endpoint))

        expect(new Set(all).size).toBe(NEUTRAL.includes(name) ? 1 : values.length + 1)
      })
    }
  }

  test('a field that nobody knows counts, at any depth', () => {
    const known = [
      prompts.chat,
      { ...prompts.chat, reasoning: { effort: 'low' } },
      { ...prompts.chat, reasoning: { effort: 'high' } },
      { messages: [{ role: 'user', content: 'Hi', cache_control: { type: 'ephemeral' } }] },
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] },
      { messages: [{ role: 'system', content: 'Hi' }] },
    ]

    expect(new Set(known.map(body => ofBody(body))).size).toBe(known.length)
  })

  test('the model counts by what it leads to, and so do the headers that choose who answers', () => {
    const all = [
      question(),
      question({ models: ['other'] }),
      question({ models: ['chat', 'other'] }),
      question({ server: 'gpu-1' }),
      question({ strategy: 'gpu-1' }),
      question({ headers: { 'anthropic-beta': 'a' } }),
      question({ headers: { 'anthropic-beta': 'b' } }),
      question({ endpoint: 'completions' }),
    ]

    expect(new Set(all.map(fingerprint)).size).toBe(all.length)
    expect(ofBody({ ...prompts.chat, model: 'alias' })).toBe(ofBody({ ...prompts.chat, model: 'chat' }))
  })
})

describe('the form of a body', () => {
  test('neither the order of members nor the way a number is written counts', () => {
    const one = '{"messages":[{"role":"user","content":"Hi"}],"temperature":1.0,"tools":[{"b":1,"a":[1e2]}]}'
    const other =
      '{ "tools": [{"a":[100], "b":1}], "temperature": 1, "messages":[{"content":"\\u0048i","role":"user"}] }'
    const keys = [one, other].map(text => fingerprint(question({ body: JSON.parse(text), text })))

    expect(keys[0]).toBe(keys[1])
  })

  test('the order of a list counts', () => {
    const two = [
      { role: 'user', content: 'a' },
      { role: 'user', content: 'b' },
    ]

    expect(ofBody({ messages: two })).not.toBe(ofBody({ messages: two.toReversed() }))
  })

  test('numbers that parsing makes equal are told apart', () => {
    const texts = ['9007199254740992', '9007199254740993', '1e400', '2e400'].map(
      seed => `{"messages":[{"role":"user","content":"Hi"}],"seed":${seed}}`,
    )
    const keys = texts.map(text => fingerprint(question({ body: JSON.parse(text), text })))
    const [first = ''] = texts

    expect(new Set(keys).size).toBe(texts.length)
    const vector = { input: [1], seed: JSON.parse(first).seed }
    expect(fingerprint(question({ body: vector, endpoint: 'embeddings' }))).toBeNull()
  })

  test('a lone half of a character is not taken for another one', () => {
    const keys = ['"\\ud800"', '"\\ud801"', '"\ufffd"'].map(content => ofBody({ messages: [JSON.parse(content)] }))

    expect(new Set(keys).size).toBe(3)
  })

  test('of a body in which a member occurs twice the bytes count, for servers may read the first one', () => {
    const texts = ['"content":"A","content":"B"', '"content":"C","content":"B"', '"content":"B"'].map(
      content => `{"messages":[{"role":"user",${content}}]}`,
    )
    const keys = texts.map(text => fingerprint(question({ body: JSON.parse(text), text })))

    expect(new Set(keys).size).toBe(texts.length)
    expect(keys[2]).toBe(ofBody({ messages: [{ role: 'user', content: 'B' }] }))
  })

  test('of a long body the bytes count', () => {
    const long = 'x'.repeat(256 * 1024)
    const body = { messages: [{ role: 'user', content: long }] }
    const reordered = { messages: [{ content: long, role: 'user' }] }
    const changed = { messages: [{ role: 'user', content: `${long}y` }] }

    expect(ofBody(body)).toBe(ofBody(structuredClone(body)))
    expect(new Set([body, reordered, changed].map(each => ofBody(each))).size).toBe(3)
  })

  test('the name tells what kind of answer it is', () => {
    expect(ofBody(prompts.chat)).toMatch(/^chat:[0-9a-f]{64}$/)
    expect(ofBody(prompts.embeddings, 'embeddings')).toMatch(/^embed:[0-9a-f]{64}$/)
  })
})

const PAIRS = 100_000

interface Part {
  readonly tenant: string
  readonly id: string
  readonly role: 'anonymous' | 'caller'
  readonly models: readonly string[] | null
  readonly address: string
  readonly named: string
  readonly scope: 'key' | 'tenant'
  readonly parameters: JsonObject
}

const names = Object.keys(chatRequest.shape).filter(name => name !== 'model' && name !== 'messages')
const message = fc.record({ role: fc.constantFrom('user', 'system'), content: fc.constantFrom('a', 'b', 'ab', '"a"') })
const parameters = fc
  .tuple(
    fc.array(message, { minLength: 1, maxLength: 2 }),
    fc.dictionary(fc.constantFrom(...names, 'unheard_of'), fc.constantFrom(...values), { maxKeys: 3 }),
  )
  .map(([messages, more]): JsonObject => ({ ...more, messages }))
const part: fc.Arbitrary<Part> = fc.record({
  tenant: fc.constantFrom('shop', 'bank'),
  id: fc.constantFrom('web', 'app'),
  role: fc.constantFrom('anonymous', 'caller'),
  models: fc.constantFrom(null, ['chat'], ['other'], ['chat', 'other'], ['other', 'chat']),
  address: fc.constantFrom('203.0.113.7', '203.0.113.8'),
  named: fc.constantFrom('chat', 'other'),
  scope: fc.constantFrom('key', 'tenant'),
  parameters,
})

/** What decides the answer, written another way than the one that is tested: without any order, as it is compared. */
function meaning({ tenant, id, role, models, address, named, scope, parameters: body }: Part): unknown {
  const rights = models === null ? null : new Set(models)
  const owner = role === 'anonymous' ? { address } : scope === 'tenant' ? { tenant } : { tenant, id }
  return {
    owner,
    rights,
    named,
    body: Object.fromEntries(Object.entries(body).filter(([name]) => !NEUTRAL.includes(name))),
  }
}

test(`in ${PAIRS} pairs of questions the key is the same exactly when the meaning is`, () => {
  let same = 0
  fc.assert(
    fc.property(part, fc.option(part, { nil: null, freq: 3 }), (one, drawn) => {
      // Every fourth pair asks the same.
      const other = drawn ?? structuredClone(one)
      const [a, b] = [one, other].map(({ parameters: body, named, scope, address, ...caller }) =>
        fingerprint(
          question({
            body,
            scope,
            address,
            models: [named],
            caller: { ...anyone, ...caller, models: caller.models === null ? null : new Set(caller.models) },
          }),
        ),
      )
      const isSame = Bun.deepEquals(meaning(one), meaning(other), true)
      if (isSame) same++
      return (a === b) === isSame
    }),
    { numRuns: PAIRS },
  )

  expect(same).toBeGreaterThan(PAIRS / 10)
}, 120_000)
