import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import type { JsonValue } from '#lib/json.ts'
import { toOllamaMessages } from '#providers/ollama/messages.ts'

/** The messages as they go over the wire. */
function sent(...messages: JsonValue[]) {
  return JSON.parse(JSON.stringify(toOllamaMessages(messages)))
}

function refusalOf(content: JsonValue): GatewayError {
  try {
    toOllamaMessages([{ role: 'user', content }])
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown
  }
  throw new Error('it was accepted')
}

test('plain messages stay as they are', () => {
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: 'Hello' },
  ]

  expect(sent(...messages)).toEqual(messages)
})

test('a message of the role developer becomes one of the role system', () => {
  expect(sent({ role: 'developer', content: 'a' })).toEqual([{ role: 'system', content: 'a' }])
})

describe('content in parts', () => {
  test('becomes one text and the images apart', () => {
    const content = [
      { type: 'text', text: 'What is this?', cache_control: { type: 'ephemeral' } },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA', detail: 'low' } },
      { type: 'text', text: 'And this?' },
      { type: 'image_url', image_url: 'data:;base64,BBBB' },
    ]

    expect(sent({ role: 'user', content })).toEqual([
      { role: 'user', content: 'What is this?\nAnd this?', images: ['AAAA', 'BBBB'] },
    ])
  })

  test('may be a refusal of the assistant', () => {
    expect(sent({ role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] })).toEqual([
      { role: 'assistant', content: 'No.' },
    ])
  })

  test('that is null becomes an empty text', () => {
    expect(sent({ role: 'assistant', content: null })).toEqual([{ role: 'assistant', content: '' }])
  })

  test('with the address of an image is refused, saying what to send', () => {
    const refusal = refusalOf([{ type: 'image_url', image_url: { url: 'https://h/a.png' } }])

    expect(refusal).toMatchObject({ code: 'unsupported_parameter', param: 'messages.0.content.0' })
    expect(refusal.message).toContain('data: URL')
  })

  test.each<[JsonValue, string]>([
    [{ type: 'input_audio', input_audio: { data: 'A', format: 'wav' } }, 'unsupported_parameter'],
    [{ type: 'file', file: { file_id: 'a' } }, 'unsupported_parameter'],
    [{ type: 'image_url', image_url: { url: 'data:image/png,raw' } }, 'invalid_request'],
    [{ type: 'image_url', image_url: {} }, 'invalid_request'],
    [5, 'invalid_request'],
  ])('with the part %j is refused as %s', (part, code) => {
    expect(refusalOf([{ type: 'text', text: 'a' }, part])).toMatchObject({ code, param: 'messages.0.content.1' })
  })
})

describe('tool calls', () => {
  const calling = (text: JsonValue) => ({
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: text } }],
  })

  test.each<[JsonValue, object]>([
    ['{"a":1}', { a: 1 }],
    ['', {}],
    [' ', {}],
    [{ a: 1 }, { a: 1 }],
    ['{"a":', { arguments: '{"a":' }],
    ['[1]', { arguments: '[1]' }],
  ])('with the arguments %j carry %j', (text, expected) => {
    expect(sent(calling(text))).toEqual([
      { role: 'assistant', content: '', tool_calls: [{ id: 'call_1', function: { name: 'f', arguments: expected } }] },
    ])
  })

  test('are answered with the name of the tool', () => {
    const messages = sent(calling('{}'), {
      role: 'tool',
      tool_call_id: 'call_1',
      content: [{ type: 'text', text: '5' }],
    })

    expect(messages[1]).toEqual({ role: 'tool', content: '5', tool_name: 'f', tool_call_id: 'call_1' })
  })

  test('that nobody made are answered by the name that was given, if any', () => {
    expect(sent({ role: 'tool', tool_call_id: 'x', name: 'g', content: '5' })).toMatchObject([{ tool_name: 'g' }])
    expect(sent({ role: 'tool', tool_call_id: 'x', content: '5' })[0]).not.toHaveProperty('tool_name')
  })
})

test('reasoning goes back to the model as thinking', () => {
  expect(sent({ role: 'assistant', content: 'a', reasoning_content: 'b' })).toMatchObject([{ thinking: 'b' }])
  expect(sent({ role: 'assistant', content: 'a', reasoning: 'b' })).toMatchObject([{ thinking: 'b' }])
})
