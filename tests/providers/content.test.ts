import { expect, test } from 'bun:test'
import type { JsonValue } from '#lib/json.ts'
import { PROVIDERS } from '#providers/index.ts'
import { call, server, target } from '#tests/support/calls.ts'

const KINDS = ['anthropic', 'gemini', 'ollama']
const called = { id: 'a', type: 'function', function: { name: 'f', arguments: '{}' } }
const CONTENTS: readonly JsonValue[] = [5, true, { type: 'text', text: 'Hi' }]

function encode(kind: string, messages: readonly JsonValue[]) {
  return PROVIDERS.get(kind)?.encode(
    call({ body: { model: 'm', messages } }),
    target('a', { server: server('a', { kind }) }),
    null,
  )
}

test.each(KINDS.flatMap(kind => CONTENTS.map(content => [kind, content] as const)))(
  '%s: content %j is refused, not left out',
  (kind, content) => {
    const refusal = (at: number) =>
      expect.objectContaining({ code: 'invalid_request', param: `messages.${at}.content` })

    expect(() => encode(kind, [{ role: 'user', content }])).toThrow(refusal(0))
    expect(() =>
      encode(kind, [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content: null, tool_calls: [called] },
        { role: 'tool', tool_call_id: 'a', content },
      ]),
    ).toThrow(refusal(2))
  },
)

test.each(KINDS)('%s: a call of a tool needs no content', kind => {
  for (const content of [null, undefined, '', []]) {
    expect(() =>
      encode(kind, [
        { role: 'user', content: 'Hi' },
        { role: 'assistant', content, tool_calls: [called] },
        { role: 'tool', tool_call_id: 'a', content },
      ]),
    ).not.toThrow()
  }
})

test.each<[kind: string, said: JsonValue]>([
  ['anthropic', [{ type: 'text', text: 'Not that.' }]],
  ['gemini', [{ text: 'Not that.' }]],
  ['ollama', 'Not that.'],
  ['deepseek', 'Not that.'],
  ['openai_compatible', 'Not that.'],
])('%s: what the model refused with is what it said', (kind, said) => {
  const refused = { role: 'assistant', content: null, refusal: 'Not that.' }
  const user = { role: 'user', content: 'Hi' }

  const { messages, contents } = JSON.parse(encode(kind, [user, refused, user])?.body?.join('') ?? '')

  const [, { content, parts }] = messages ?? contents
  expect(content ?? parts).toEqual(said)
})
