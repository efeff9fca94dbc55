import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { sent } from '#tests/providers/anthropic/cases.ts'

const text = (said: string) => ({ type: 'text', text: said })
const call = (id: string, name: string, given: string) => ({
  id,
  type: 'function',
  function: { name, arguments: given },
})

function turnsOf(messages: readonly JsonObject[], more: JsonObject = {}) {
  return sent({ messages, ...more }).body.messages
}

function contentOf(content: JsonValue) {
  return turnsOf([{ role: 'user', content }])[0].content
}

function refusalOf(messages: readonly JsonObject[]): GatewayError {
  try {
    turnsOf(messages)
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
  }
  throw new Error('nothing was refused')
}

describe('instructions', () => {
  test('of system and developer become the system, wherever they stand', () => {
    const { body } = sent({
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Hi' },
        { role: 'developer', content: [{ type: 'text', text: 'Be kind.' }] },
      ],
    })

    expect(body.system).toEqual([text('Be brief.'), text('Be kind.')])
    expect(body.messages).toEqual([{ role: 'user', content: [text('Hi')] }])
  })

  test('alone are what the user says, because a conversation needs a turn', () => {
    const { body } = sent({ messages: [{ role: 'system', content: 'Tell a joke.' }] })

    expect(body).not.toHaveProperty('system')
    expect(body.messages).toEqual([{ role: 'user', content: [text('Tell a joke.')] }])
  })

  test('keep the mark up to which they are cached', () => {
    const cache_control = { type: 'ephemeral' }

    const { body } = sent({
      messages: [
        { role: 'system', content: [{ type: 'text', text: 'Long.', cache_control }] },
        { role: 'user', content: 'Hi' },
      ],
    })

    expect(body.system).toEqual([{ ...text('Long.'), cache_control }])
  })

  test('may be marked as a whole, like every message: the mark stands on the last part', () => {
    const [hour, minutes] = [{ type: 'ephemeral', ttl: '1h' }, { type: 'ephemeral' }]
    const called = { id: 'toolu_1', type: 'function', function: { name: 'f', arguments: '{}' } }

    const { body } = sent({
      messages: [
        { role: 'system', content: 'Long.', cache_control: hour },
        { role: 'user', content: [text('Hi'), { ...text('there'), cache_control: hour }], cache_control: minutes },
        { role: 'assistant', content: 'Hm.', tool_calls: [called], cache_control: minutes },
        { role: 'tool', tool_call_id: 'toolu_1', content: 'x', cache_control: minutes },
        { role: 'user', content: '', cache_control: minutes },
      ],
    })

    expect(body.system).toEqual([{ ...text('Long.'), cache_control: hour }])
    expect(body.messages).toEqual([
      { role: 'user', content: [text('Hi'), { ...text('there'), cache_control: hour }] },
      {
        role: 'assistant',
        content: [text('Hm.'), { type: 'tool_use', id: 'toolu_1', name: 'f', input: {}, cache_control: minutes }],
      },
      {
        role: 'user',
        content: [{ type: 'tool_result', tool_use_id: 'toolu_1', content: [text('x')], cache_control: minutes }],
      },
    ])
  })
})

describe('turns', () => {
  test('of the same role are joined into one', () => {
    const turns = turnsOf([
      { role: 'user', content: 'One.' },
      { role: 'user', content: 'Two.', name: 'ann' },
      { role: 'assistant', content: 'Three.' },
      { role: 'assistant', content: 'Four.' },
      { role: 'user', content: 'Five.' },
    ])

    expect(turns).toEqual([
      { role: 'user', content: [text('One.'), text('Two.')] },
      { role: 'assistant', content: [text('Three.'), text('Four.')] },
      { role: 'user', content: [text('Five.')] },
    ])
  })

  test('begin with the user, also behind a greeting', () => {
    const turns = turnsOf([
      { role: 'assistant', content: 'Hello!' },
      { role: 'user', content: 'Hi' },
    ])

    expect(turns.map((turn: JsonObject) => turn.role)).toEqual(['user', 'assistant', 'user'])
  })

  test('without a word are left out', () => {
    const turns = turnsOf([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: ' \n' },
      { role: 'user', content: [{ type: 'text', text: '' }, text('There')] },
    ])

    expect(turns).toEqual([{ role: 'user', content: [text('Hi'), text('There')] }])
  })

  test('of the assistant end without white space when they are the last, and only then', () => {
    const turns = turnsOf([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Yes \n' },
      { role: 'user', content: 'Go on ' },
      { role: 'assistant', content: 'So \n' },
    ])

    expect(turns.map((turn: { content: { text: string }[] }) => turn.content[0]?.text)).toEqual([
      'Hi',
      'Yes \n',
      'Go on ',
      'So',
    ])
  })

  test('of an assistant who refused carry the refusal as their text', () => {
    const turns = turnsOf([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, refusal: 'No.' },
      { role: 'user', content: 'Why?' },
    ])

    expect(turns[1]).toEqual({ role: 'assistant', content: [text('No.')] })
  })

  test('of a role that nobody has are refused', () => {
    expect(refusalOf([{ role: 'function', name: 'f', content: '1' }])).toMatchObject({
      code: 'invalid_request',
      param: 'messages.0.role',
    })
  })
})

describe('tools in the history', () => {
  test('keep their calls and give all results in one turn, what the user says behind them', () => {
    const turns = turnsOf([
      { role: 'user', content: 'Weather?' },
      {
        role: 'assistant',
        content: 'I look.',
        tool_calls: [call('a', 'weather', '{"city":"Rome"}'), call('b', 'time', '')],
      },
      { role: 'tool', tool_call_id: 'a', content: '21 degrees' },
      { role: 'tool', tool_call_id: 'b', content: [text('noon')] },
      { role: 'user', content: 'Well?' },
    ])

    expect(turns.slice(1)).toEqual([
      {
        role: 'assistant',
        content: [
          text('I look.'),
          { type: 'tool_use', id: 'a', name: 'weather', input: { city: 'Rome' } },
          { type: 'tool_use', id: 'b', name: 'time', input: {} },
        ],
      },
      {
        role: 'user',
        content: [
          { type: 'tool_result', tool_use_id: 'a', content: [text('21 degrees')] },
          { type: 'tool_result', tool_use_id: 'b', content: [text('noon')] },
          text('Well?'),
        ],
      },
    ])
  })

  test('give their results before what the user said meanwhile', () => {
    const turns = turnsOf([
      { role: 'user', content: 'Weather?' },
      { role: 'assistant', tool_calls: [call('a', 'f', '{}'), call('b', 'f', '{}')] },
      { role: 'tool', tool_call_id: 'a', content: '1' },
      { role: 'user', content: 'Well?' },
      { role: 'tool', tool_call_id: 'b', content: '2' },
    ])

    expect(turns[2].content.map((block: JsonObject) => block.tool_use_id ?? block.text)).toEqual(['a', 'b', 'Well?'])
  })

  test('may give nothing, an image, or an error', () => {
    const url = 'https://example.com/a.png'
    const [, , { content }] = turnsOf([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', tool_calls: [call('a', 'f', '{}'), call('b', 'f', '{}'), call('c', 'f', '{}')] },
      { role: 'tool', tool_call_id: 'a', content: '' },
      { role: 'tool', tool_call_id: 'b', content: [{ type: 'image_url', image_url: { url } }] },
      { role: 'tool', tool_call_id: 'c', content: 'no such city', is_error: true },
    ])

    expect(content).toEqual([
      { type: 'tool_result', tool_use_id: 'a' },
      { type: 'tool_result', tool_use_id: 'b', content: [{ type: 'image', source: { type: 'url', url } }] },
      { type: 'tool_result', tool_use_id: 'c', content: [text('no such city')], is_error: true },
    ])
  })

  test('that are marked for the cache have the mark on themselves, not inside, where the API refuses it', () => {
    const cache_control = { type: 'ephemeral' }
    const marked = { ...text('21 degrees'), cache_control }
    const turns = turnsOf([
      { role: 'user', content: 'Rome?' },
      { role: 'assistant', tool_calls: [call('a', 'f', '{}'), call('b', 'f', '{}')] },
      { role: 'tool', tool_call_id: 'a', content: [marked, marked] },
      { role: 'tool', tool_call_id: 'b', content: 'noon', cache_control: { type: 'ephemeral', ttl: '1h' } },
    ])

    expect(turns[2].content).toEqual([
      { type: 'tool_result', tool_use_id: 'a', content: [text('21 degrees'), text('21 degrees')], cache_control },
      {
        type: 'tool_result',
        tool_use_id: 'b',
        content: [text('noon')],
        cache_control: { type: 'ephemeral', ttl: '1h' },
      },
    ])
  })

  test('may have arguments that are no object', () => {
    const [, { content }] = turnsOf([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', tool_calls: [call('a', 'f', '{"x":'), call('b', 'f', '[1]')] },
    ])

    expect(content.map((block: JsonObject) => block.input)).toEqual([{ arguments: '{"x":' }, { arguments: '[1]' }])
  })

  test('may have ids of other servers, which stay the same on both sides', () => {
    const turns = turnsOf([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', tool_calls: [call('functions.weather:0', 'weather', '{}')] },
      { role: 'tool', tool_call_id: 'functions.weather:0', content: '21' },
    ])

    expect([turns[1].content[0].id, turns[2].content[0].tool_use_id]).toEqual([
      'functions_weather_0',
      'functions_weather_0',
    ])
  })
})

describe('parts', () => {
  test('may be images, by address or as they are', () => {
    expect(
      contentOf([
        { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'high' } },
        { type: 'image_url', image_url: { url: 'data:image/jpg;base64,AAAA' } },
      ]),
    ).toEqual([
      { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
      { type: 'image', source: { type: 'base64', media_type: 'image/jpeg', data: 'AAAA' } },
    ])
  })

  test('may be files: PDF, text, images, or what the server keeps', () => {
    const hello = Buffer.from('héllo').toString('base64')

    expect(
      contentOf([
        { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBE' } },
        { type: 'file', file: { file_data: 'JVBE' } },
        { type: 'file', file: { filename: 'a.txt', file_data: `data:text/plain;charset=utf-8;base64,${hello}` } },
        { type: 'file', file: { file_data: 'data:image/png;base64,AAAA' } },
        { type: 'file', file: { file_data: 'https://example.com/a.pdf' } },
        { type: 'file', file: { file_id: 'file_1' } },
      ]),
    ).toEqual([
      { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' }, title: 'a.pdf' },
      { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'JVBE' } },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: 'héllo' }, title: 'a.txt' },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
      { type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' } },
      { type: 'document', source: { type: 'file', file_id: 'file_1' } },
    ])
  })

  test('of an unknown type are what their name or their beginning tells', () => {
    const data = (base64: string) => `data:application/octet-stream;base64,${base64}`

    expect(
      contentOf([
        { type: 'file', file: { filename: 'a.pdf', file_data: data('AAAA') } },
        { type: 'file', file: { filename: 'a.md', file_data: data(btoa('# A')) } },
        { type: 'image_url', image_url: { url: data('iVBORw0KGgoA') } },
      ]),
    ).toEqual([
      { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' }, title: 'a.pdf' },
      { type: 'document', source: { type: 'text', media_type: 'text/plain', data: '# A' }, title: 'a.md' },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'iVBORw0KGgoA' } },
    ])
  })

  test("of the API's own go as they are", () => {
    const document = { type: 'document', source: { type: 'url', url: 'https://example.com/a.pdf' }, citations: {} }

    expect(contentOf([document])).toEqual([document])
  })

  test.each([
    [{ type: 'input_audio', input_audio: { data: 'AAAA', format: 'wav' } }, 'unsupported_parameter'],
    [{ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }, 'invalid_request'],
    [7, 'invalid_request'],
  ])('of another kind are refused: %j', (part, code) => {
    const error = refusalOf([{ role: 'user', content: [part as JsonValue] }])

    expect<unknown>([error.code, error.param]).toEqual([code, 'messages.0.content.0'])
  })
})
