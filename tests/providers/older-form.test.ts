import { expect, test } from 'bun:test'
import { PROVIDERS } from '#providers/index.ts'
import { call, server, target } from '#tests/support/calls.ts'

test.each(['anthropic', 'gemini', 'ollama'])(
  'an earlier call in the older form is refused by %s, not left out',
  kind => {
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, function_call: { name: 'f', arguments: '{}' } },
      { role: 'user', content: 'Well?' },
    ]
    const at = target('a', { server: server('a', { kind }) })

    expect(() => PROVIDERS.get(kind)?.encode(call({ body: { model: 'm', messages } }), at, null)).toThrow(
      expect.objectContaining({ code: 'unsupported_parameter', param: 'messages.1' }),
    )
  },
)

test('the result of one is refused by ollama too', () => {
  const messages = [{ role: 'function', name: 'f', content: '1' }]
  const at = target('a', { server: server('a', { kind: 'ollama' }) })

  expect(() => PROVIDERS.get('ollama')?.encode(call({ body: { model: 'm', messages } }), at, null)).toThrow(
    expect.objectContaining({ code: 'unsupported_parameter', param: 'messages.0' }),
  )
})

const calledFreely = { tool_calls: [{ id: 'c', type: 'custom', custom: { name: 'f', input: 'x' } }] }

test.each([
  ['anthropic', 'messages.1.tool_calls.0', calledFreely],
  ['ollama', 'messages.1.tool_calls.0', calledFreely],
  ['gemini', 'messages.1.tool_calls.0', calledFreely],
  ['anthropic', 'messages.1.audio', { audio: { id: 'audio_1' } }],
  ['ollama', 'messages.1.audio', { audio: { id: 'audio_1' } }],
  ['gemini', 'messages.1.audio', { audio: { id: 'audio_1' } }],
  ['anthropic', 'messages.1.images', { images: [{ type: 'image_url' }] }],
  ['ollama', 'messages.1.images', { images: [{ type: 'image_url' }] }],
])('what %s cannot take back of an earlier answer is refused: %s', (kind, param, answer) => {
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: null, ...answer },
    { role: 'user', content: 'Well?' },
  ]
  const at = target('a', { server: server('a', { kind }) })

  expect(() => PROVIDERS.get(kind)?.encode(call({ body: { model: 'm', messages } }), at, null)).toThrow(
    expect.objectContaining({ code: 'unsupported_parameter', param }),
  )
})
