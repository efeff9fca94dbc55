import { describe, expect, test } from 'bun:test'
import { normalizeBaseUrl, openaiCompatible } from '#providers/openai_compatible/index.ts'
import { SERVICES, serviceOf } from '#providers/openai_compatible/services.ts'
import { call, server, target } from '#tests/support/calls.ts'

/** A chat as it goes to an address. */
function sent(
  baseUrl: string,
  body: object,
  more: { readonly kind?: string; readonly stream?: boolean; readonly model?: string } = {},
) {
  const { kind = 'openai_compatible', stream = false, model = 'm' } = more
  const whole = { model: 'm', messages: [{ role: 'user', content: 'Hi' }], ...body }
  const asked = call({ stream, body: whole, source: JSON.stringify(whole) })
  const to = target('a', { server: server('a', { baseUrl: normalizeBaseUrl(baseUrl), kind }), upstreamModel: model })
  const { body: text, ...rest } = openaiCompatible.encode(asked, to, 'sk-1')
  return { ...rest, body: JSON.parse(text?.join('') ?? '') }
}

const LOCAL = 'http://127.0.0.1:8000'

describe("a model server of one's own", () => {
  test.each([
    [{ max_completion_tokens: 5 }, { max_tokens: 5 }],
    [{ max_tokens: 7 }, { max_tokens: 7 }],
    [{ max_tokens: 7, max_completion_tokens: 5 }, { max_tokens: 5 }],
    [{ max_tokens: 7, max_completion_tokens: null }, { max_tokens: 7 }],
  ])('gets the limit by its older name: %j', (given, expected) => {
    const { body } = sent(LOCAL, given)

    expect(body).toMatchObject(expected)
    expect(body).not.toHaveProperty('max_completion_tokens')
  })

  test('gets developer messages as those of system', () => {
    const messages = [
      { role: 'developer', content: 'Be short.' },
      { role: 'user', content: 'Hi' },
    ]

    const { body } = sent(LOCAL, { messages, seed: 1 })

    expect(body).toEqual({ model: 'm', seed: 1, messages: [{ role: 'system', content: 'Be short.' }, messages[1]] })
  })

  test('gets every parameter of the caller', () => {
    expect(sent(LOCAL, { user: 'u', store: true, top_k: 3 })).not.toHaveProperty('dropped')
  })
})

describe('OpenAI', () => {
  test('gets the limit by its newer name, and developer messages as they are', () => {
    const messages = [{ role: 'developer', content: 'Be short.' }]

    expect(sent('https://api.openai.com/v1', { messages, max_tokens: 5 }).body).toEqual({
      model: 'm',
      messages,
      max_completion_tokens: 5,
    })
    expect(sent('https://api.openai.com/v1', { max_tokens: 7, max_completion_tokens: 5 }).body).toMatchObject({
      max_completion_tokens: 5,
    })
    expect(sent('https://api.openai.com/v1', { max_tokens: 7, max_completion_tokens: null }).body).toMatchObject({
      max_completion_tokens: 7,
    })
  })

  test('at another address gets what was sent', () => {
    const body = { messages: [{ role: 'developer', content: 'x' }], max_tokens: 5 }

    expect(sent('https://proxy.example.com/v1', body, { kind: 'openai' }).body).toEqual({ model: 'm', ...body })
  })
})

describe('Azure', () => {
  test.each([
    ['https://x.openai.azure.com', 'https://x.openai.azure.com/openai/v1/chat/completions'],
    [
      'https://x.openai.azure.com?api-version=2024-10-21',
      'https://x.openai.azure.com/openai/deployments/m/chat/completions?api-version=2024-10-21',
    ],
    [
      'https://x.openai.azure.com/openai/deployments/d?api-version=2024-10-21',
      'https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21',
    ],
    [
      'https://x.services.ai.azure.com/models?api-version=2024-05-01-preview',
      'https://x.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview',
    ],
  ])('at %s', (address, url) => {
    const { headers, url: asked } = sent(address, {})

    expect(asked).toBe(url)
    expect(headers).toMatchObject({ 'api-key': 'sk-1' })
    expect(headers).not.toHaveProperty('authorization')
  })

  const limit = (model: string, given: object) => sent('https://x.openai.azure.com/openai/v1', given, { model }).body

  test.each(['o3-mini', 'team-o1', 'gpt-5', 'gpt5-mini', 'GPT-6'])(
    'gets the limit of %s by its newer name, the only one that models that think take',
    model => {
      const { max_tokens, max_completion_tokens } = limit(model, { max_tokens: 5 })

      expect({ max_tokens, max_completion_tokens }).toEqual({ max_tokens: undefined, max_completion_tokens: 5 })
    },
  )

  test.each(['gpt-4o', 'gpt-35-turbo', 'gpt-4.1', 'Mistral-large'])(
    'gets the limit of %s as it was sent: its older versions know the older name only',
    model => {
      expect(limit(model, { max_tokens: 5 })).toMatchObject({ max_tokens: 5 })
      expect(limit(model, { max_completion_tokens: 5 })).toMatchObject({ max_completion_tokens: 5 })
    },
  )

  test('lists its models beside the deployments', () => {
    const baseUrl = 'https://x.openai.azure.com/openai/deployments/d?api-version=1'

    expect(openaiCompatible.catalog.list(server('a', { baseUrl }), null).url).toBe(
      'https://x.openai.azure.com/openai/models?api-version=1',
    )
  })
})

describe('Mistral', () => {
  const MISTRAL = 'https://api.mistral.ai/v1'

  test('gets only what it knows, and the rest is told', () => {
    const messages = [{ role: 'assistant', content: 'Hi', reasoning_content: 'Hm', refusal: null }]

    const { body, dropped } = sent(MISTRAL, { messages, seed: 3, user: 'u', store: false, service_tier: null })

    expect(body).toEqual({ model: 'm', random_seed: 3, messages: [{ role: 'assistant', content: 'Hi' }] })
    expect(dropped).toEqual(['user', 'store'])
  })

  test('gets the key of its prompt cache', () => {
    expect(sent(MISTRAL, { prompt_cache_key: 'k' })).toMatchObject({ body: { prompt_cache_key: 'k' }, dropped: [] })
  })

  test('gets ids of tool calls of nine letters and digits, the same for a call and its result', () => {
    const made = (id: string) => ({ id, type: 'function', function: { name: 'f', arguments: '{}' } })
    const result = (id: string) => ({ role: 'tool', tool_call_id: id, content: 'x' })
    const ids = ['call_4pmS7M9mTEgRc3wp', 'call_4pmS7M9mTEgRc3wq', 'toolu_01', 'D681PevKs']
    const messages = [{ role: 'assistant', content: null, tool_calls: ids.map(made) }, ...ids.map(result)]

    const [answer, ...results] = sent(MISTRAL, { messages }).body.messages

    const taken = answer.tool_calls.map((each: { readonly id: string }) => each.id)
    expect(new Set(taken).size).toBe(4)
    for (const id of taken) expect(id).toMatch(/^[a-zA-Z0-9]{9}$/)
    expect(taken[3]).toBe('D681PevKs')
    expect(answer.tool_calls).toEqual(taken.map(made))
    expect(results).toEqual(taken.map(result))
  })

  test('gets instructions before the conversation, which it refuses behind an answer', () => {
    const said = (role: string, content: string) => ({ role, content })
    const [first, hi, hello] = [said('system', 'Be brief.'), said('user', 'Hi'), said('assistant', 'Hello')]
    const [late, more, taken] = [said('developer', 'Now be kind.'), said('system', 'Go on.'), said('system', 'OK?')]

    const { body } = sent(MISTRAL, { messages: [first, hi, hello, late, more, hi, taken] })

    expect(body.messages).toEqual([first, { ...late, role: 'system' }, more, hi, hello, hi, taken])
    expect(sent(MISTRAL, { messages: [first, hi, hello, hi] }).body.messages).toEqual([first, hi, hello, hi])
  })

  test('answers instructions that end the conversation, which would else end with an answer', () => {
    const said = (role: string, content: string) => ({ role, content })
    const [hi, hello] = [said('user', 'Hi'), said('assistant', 'Hello')]

    const { body } = sent(MISTRAL, { messages: [hi, hello, said('system', 'Sum up.'), said('developer', 'Be brief.')] })

    expect(body.messages).toEqual([hi, hello, said('user', 'Sum up.'), said('user', 'Be brief.')])
  })

  test('gets no answer in which nothing was said', () => {
    const hi = { role: 'user', content: 'Hi' }
    const refused = { role: 'assistant', content: '', refusal: 'No.' }
    const empty = ['', null, []].map(content => ({
      role: 'assistant',
      content,
      reasoning_content: 'Hm',
      tool_calls: [],
    }))

    expect(sent(MISTRAL, { messages: [hi, ...empty, hi, refused, hi] }).body.messages).toEqual([
      hi,
      hi,
      { role: 'assistant', content: 'No.' },
      hi,
    ])
  })

  test('gets an answer between the result of a tool and the user, whom it refuses right behind it', () => {
    const made = { id: 'abcdefgh1', type: 'function', function: { name: 'f', arguments: '{}' } }
    const called = { role: 'assistant', content: null, tool_calls: [made] }
    const result = { role: 'tool', tool_call_id: 'abcdefgh1', content: 'x' }
    const [hi, late] = [
      { role: 'user', content: 'Hi' },
      { role: 'system', content: 'Be brief.' },
    ]
    const bridge = { role: 'assistant', content: 'OK.' }

    expect(sent(MISTRAL, { messages: [hi, called, result, hi] }).body.messages).toEqual([
      hi,
      called,
      result,
      bridge,
      hi,
    ])
    expect(sent(MISTRAL, { messages: [hi, called, result, late, hi] }).body.messages).toEqual([
      late,
      hi,
      called,
      result,
      bridge,
      hi,
    ])
    expect(sent(MISTRAL, { messages: [hi, called, result, late] }).body.messages).toEqual([late, hi, called, result])
  })

  test('is not asked to count a stream, which it does by itself', () => {
    const { body } = sent(MISTRAL, { stream: true, stream_options: { include_usage: true } }, { stream: true })

    expect(body).not.toHaveProperty('stream_options')
  })
})

test('Groq gets messages without names', () => {
  const { body } = sent('https://api.groq.com/openai/v1', { messages: [{ role: 'user', name: 'bob', content: 'Hi' }] })

  expect(body.messages).toEqual([{ role: 'user', content: 'Hi' }])
})

test.each([
  ['openai/gpt-oss-120b', { reasoning: 'Hm' }],
  ['qwen/qwen3-32b', { reasoning: 'Hm' }],
  ['llama-3.3-70b-versatile', {}],
  ['moonshotai/kimi-k2-instruct', {}],
])('Groq gets the thoughts of an answer only for a model that takes them: %s', (model, kept) => {
  const messages = [{ role: 'assistant', content: 'Hi', reasoning: 'Hm', reasoning_content: 'Hm' }]

  const { body } = sent('https://api.groq.com/openai/v1', { messages }, { model })

  expect(body.messages).toEqual([{ role: 'assistant', content: 'Hi', ...kept }])
})

describe("Anthropic's marks of what to cache", () => {
  const cache_control = { type: 'ephemeral' }
  const f = { type: 'function', function: { name: 'f' } }
  const marked = {
    messages: [
      { role: 'system', cache_control, content: [{ type: 'text', text: 'Be brief.', cache_control }] },
      { role: 'user', content: [{ type: 'text', text: 'Hi' }, 'odd'] },
    ],
    tools: [f, { ...f, cache_control }],
    cache_control,
  }

  test.each([
    'https://api.openai.com/v1',
    'https://x.openai.azure.com/openai/v1',
    'https://api.mistral.ai/v1',
    'https://api.groq.com/openai/v1',
    'https://api.cerebras.ai/v1',
  ])('do not go to %s, which refuses them', address => {
    const { body, dropped } = sent(address, marked)

    expect(body).toEqual({
      model: 'm',
      messages: [
        { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
        { role: 'user', content: [{ type: 'text', text: 'Hi' }, 'odd'] },
      ],
      tools: [f, f],
    })
    expect(dropped).toEqual(['cache_control'])
  })

  test.each(['https://openrouter.ai/api/v1', 'http://127.0.0.1:8000/v1'])('go to %s unchanged', address => {
    expect(sent(address, marked).body).toEqual({ model: 'm', ...marked })
  })
})

test.each([
  ['https://api.groq.com/openai/v1', ['verbosity', 'safety_identifier', 'prompt_cache_key', 'prompt_cache_retention']],
  ['https://api.cerebras.ai/v1', ['store', 'metadata', 'verbosity', 'safety_identifier', 'prompt_cache_retention']],
  [
    'https://generativelanguage.googleapis.com/v1beta/openai',
    ['store', 'verbosity', 'safety_identifier', 'prompt_cache_key', 'prompt_cache_retention'],
  ],
])('what only OpenAI knows is left out and told at %s', (address, expected) => {
  const parameters = Object.fromEntries(expected.map(name => [name, 'x']))
  const answer = { role: 'assistant', content: 'Hi', refusal: null, annotations: [], audio: null }

  const { body, dropped } = sent(address, { ...parameters, user: 'u', messages: [answer] })

  expect(body).toEqual({ model: 'm', user: 'u', messages: [{ role: 'assistant', content: 'Hi' }] })
  expect(dropped).toEqual(expected)
})

test.each([
  'https://api.mistral.ai/v1',
  'https://api.groq.com/openai/v1',
  'https://api.cerebras.ai/v1',
  'https://api.fireworks.ai/inference/v1',
  'https://generativelanguage.googleapis.com/v1beta/openai',
])('what is null is left out for %s, which refuses what it does not know also then', address => {
  const unset = { logit_bias: null, stream_options: null, audio: null, stop: null, tools: null, user: null }
  const limits = { max_tokens: null, max_completion_tokens: 5 }
  const messages = [{ role: 'user', content: 'Hi' }]

  const { body, dropped } = sent(address, { ...unset, ...limits, temperature: 0 })

  const { max_tokens, max_completion_tokens, ...others } = body
  expect(others).toEqual({ model: 'm', messages, temperature: 0 })
  expect([max_tokens, max_completion_tokens].filter(limit => limit !== undefined)).toEqual([5])
  expect(dropped).toEqual([])
})

test('what is null and has to be sent, such as a model that was left to the gateway, is sent to those who refuse null', () => {
  const { body } = sent('https://api.groq.com/openai/v1', { model: null, stream_options: null }, { stream: true })

  expect(body).toMatchObject({ model: 'm', stream_options: { include_usage: true } })
})

test('a body of nothing but fields that are null is made to fit as quickly as another', () => {
  const fields = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`field${at}`, null]))
  const startedAt = performance.now()

  const { body } = sent('https://api.mistral.ai/v1', fields)

  expect(performance.now() - startedAt).toBeLessThan(1000)
  expect(Object.keys(body)).toEqual(['model', 'messages'])
})

test.each([
  'https://api.mistral.ai/v1',
  'https://api.groq.com/openai/v1',
  'https://api.cerebras.ai/v1',
  'https://api.fireworks.ai/inference/v1',
  'https://generativelanguage.googleapis.com/v1beta/openai',
])('a refusal is what the model said for %s, which does not know it', address => {
  const refused = { role: 'assistant', content: null, refusal: 'No.' }
  const messages = [
    { role: 'user', content: 'Hi' },
    refused,
    { ...refused, content: 'Well.' },
    { role: 'user', content: 'Ok' },
  ]

  const { body } = sent(address, { messages })

  expect(body.messages.slice(1, 3)).toEqual([
    { role: 'assistant', content: 'No.' },
    { role: 'assistant', content: 'Well.' },
  ])
})

test('Cerebras gets thoughts in its own word only', () => {
  const messages = [{ role: 'assistant', name: 'bob', content: 'Hi', reasoning: 'Hm', reasoning_content: 'Hm' }]

  const { body } = sent('https://api.cerebras.ai/v1', { messages, max_completion_tokens: 5 })

  expect(body.messages).toEqual([{ role: 'assistant', name: 'bob', content: 'Hi', reasoning: 'Hm' }])
  expect(body.max_completion_tokens).toBe(5)
})

const signed = { extra_content: { google: { thought_signature: 's' } } }

test.each([
  ['https://api.fireworks.ai/inference/v1', { reasoning_content: 'Hm' }, {}],
  ['https://generativelanguage.googleapis.com/v1beta/openai', signed, signed],
])('%s gets of an answer what it knows, and its own marks', (address, message, made) => {
  const tool = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{}' } }
  const others = { reasoning: 'Hm', reasoning_details: [], refusal: null, annotations: [], audio: null }
  const all = { ...others, reasoning_content: 'Hm', ...signed }
  const messages = [{ role: 'assistant', content: 'Hi', ...all, tool_calls: [{ ...tool, ...signed }] }]

  const { body } = sent(address, { messages, cache_control: { type: 'ephemeral' } })

  const fitted = { role: 'assistant', content: 'Hi', ...message, tool_calls: [{ ...tool, ...made }] }
  expect(body).toEqual({ model: 'm', messages: [fitted] })
})

test('every service is known by a name of its own', () => {
  expect(new Set(SERVICES.map(({ name }) => name)).size).toBe(SERVICES.length)
  expect(serviceOf(server('a', { baseUrl: 'https://eu.api.mistral.ai/v1' })).name).toBe('Mistral')
  expect(serviceOf(server('a', { baseUrl: 'https://notmistral.ai.example.com/v1' })).name).toBe('model servers')
})

test.each(['https://api.mistral.ai/v1', 'https://api.groq.com/openai/v1'])(
  'what other models wrote into an answer does not go to %s',
  address => {
    const google = { google: { thought_signature: 's' } }
    const made = { id: 'abcdefgh1', type: 'function', function: { name: 'f', arguments: '{}' } }
    const messages = [
      { role: 'user', name: 'bob', content: 'Hi' },
      {
        role: 'assistant',
        content: null,
        reasoning_content: 'Hm',
        reasoning_details: [{ type: 'reasoning.text', text: 'Hm', signature: 's' }],
        extra_content: google,
        tool_calls: [{ ...made, extra_content: google }, made],
      },
      { role: 'tool', tool_call_id: 'abcdefgh1', content: 'x' },
    ]

    expect(sent(address, { messages }).body.messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, tool_calls: [made, made] },
      messages[2],
    ])
  },
)
