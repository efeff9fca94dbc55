import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Provider } from '#providers/provider.ts'
import { replay, textsOf } from '#tests/providers/replay.ts'
import { call, server, target } from '#tests/support/calls.ts'

/** No number of JavaScript is this one. */
const ID = '1234567890123456789'
const args = `{"id":${ID}}`

function providerOf(kind: string): Provider {
  const provider = PROVIDERS.get(kind)
  if (provider === undefined) throw new Error(`${kind} is not built`)
  return provider
}

test.each(['anthropic', 'gemini', 'ollama'])('an earlier tool call goes to %s with the digits that it had', kind => {
  const at = target('a', { server: server('a', { kind }) })
  const made = { id: 'call_a', type: 'function', function: { name: 'f', arguments: args } }
  const messages = [
    { role: 'user', content: 'Hi' },
    { role: 'assistant', content: null, tool_calls: [made] },
    { role: 'tool', tool_call_id: 'call_a', content: args },
  ]

  const { body } = providerOf(kind).encode(call({ body: { model: 'm', messages } }), at, null)

  expect(body?.join('').match(/\d{16,}/g)).toEqual([ID, ID])
})

test('a tool call of a plain answer keeps its digits, as a streamed one does', () => {
  const block = `{"type":"tool_use","id":"toolu_1","name":"f","input":${args}}`
  const usage = '{"input_tokens":3,"output_tokens":2}'
  const body = `{"id":"msg_1","type":"message","model":"c","content":[${block}],"stop_reason":"tool_use","usage":${usage}}`

  const answer = providerOf('anthropic').decode(call({ stream: false }), body)

  if (answer instanceof GatewayError) throw answer
  expect(JSON.parse(answer.text).choices[0].message.tool_calls[0].function.arguments).toBe(args)
  expect(answer.usage).toMatchObject({ input: 3, output: 2 })
})

test('a tool call that comes whole within a stream keeps its digits', () => {
  const block = `{"type":"tool_use","id":"toolu_1","name":"f","input":${args}}`
  const events = [
    'event: message_start\ndata: {"type":"message_start","message":{"id":"msg_1","model":"c","usage":{"input_tokens":3}}}',
    `event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":${block}}`,
    'event: content_block_stop\ndata: {"type":"content_block_stop","index":0}',
  ]

  const { frames } = replay(providerOf('anthropic'), call({ stream: true }), `${events.join('\n\n')}\n\n`)

  expect(textsOf(frames).join('')).toContain(JSON.stringify(args))
})
