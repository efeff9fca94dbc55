import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { anthropic, chat, sent } from '#tests/providers/anthropic/cases.ts'
import { dataFrames, replay } from '#tests/providers/replay.ts'

const tools = ['weather', 'clothes'].map(name => ({
  type: 'function',
  function: { name, parameters: { type: 'object', properties: {} } },
}))

/** What the model says in each turn, as the API has it. */
const TURNS: readonly (readonly JsonObject[])[] = [
  [
    { type: 'thinking', thinking: 'Two cities, so two calls.', signature: 'sig-1' },
    { type: 'redacted_thinking', data: 'hidden-1' },
    { type: 'text', text: 'I look at both.' },
    { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: 'Rome' } },
    { type: 'tool_use', id: 'toolu_2', name: 'weather', input: { city: 'Oslo' } },
  ],
  [
    { type: 'thinking', thinking: 'Now the clothes.', signature: 'sig-2' },
    { type: 'tool_use', id: 'toolu_3', name: 'clothes', input: {} },
  ],
  [{ type: 'text', text: 'Take a coat.' }],
  [
    { type: 'thinking', thinking: 'They thank me.', signature: 'sig-4' },
    { type: 'text', text: 'You are welcome.' },
  ],
]

/** How a little thinking is asked for, of models with a budget for it and of those that see to it themselves. */
const BUDGET = { type: 'enabled', budget_tokens: 2048 }
const ADAPTIVE = { type: 'adaptive', display: 'summarized' }

/** What a caller says before each turn. */
const SAID: readonly (readonly JsonObject[])[] = [
  [{ role: 'user', content: 'What do I need in Rome and Oslo?' }],
  [
    { role: 'tool', tool_call_id: 'toolu_1', content: '21 degrees' },
    { role: 'tool', tool_call_id: 'toolu_2', content: '-3 degrees' },
  ],
  [{ role: 'tool', tool_call_id: 'toolu_3', content: 'coat' }],
  [{ role: 'user', content: 'Thanks!' }],
]

function answerOf(content: readonly JsonObject[]): JsonObject {
  const stop_reason = content.some(block => block.type === 'tool_use') ? 'tool_use' : 'end_turn'
  return { id: 'msg_1', type: 'message', model: 'claude', content, stop_reason, usage: { output_tokens: 1 } }
}

/** The message that a caller gets of a plain answer. */
function plainMessage(content: readonly JsonObject[]): JsonObject {
  const answer = anthropic.decode(chat({}), JSON.stringify(answerOf(content)))
  if (answer instanceof GatewayError) throw answer
  return JSON.parse(answer.text).choices[0].message
}

/** The message that a caller puts together from a stream: texts joined, lists appended, tools by their index. */
function streamedMessage(content: readonly JsonObject[]): JsonObject {
  const events = eventsOf(content)
  const body = events.map(event => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join('')
  const message: Record<string, unknown> = { role: 'assistant', content: '' }
  const calls: { id: string; type: string; function: { name: string; arguments: string } }[] = []
  for (const frame of dataFrames(replay(anthropic, chat({}, { stream: true }), body).frames)) {
    const delta = frame.chunk.choices?.[0]?.delta ?? {}
    for (const [key, value] of Object.entries(delta)) {
      if (key === 'content' || key === 'reasoning_content') message[key] = `${message[key] ?? ''}${value}`
      if (key === 'reasoning_details') message[key] = [...((message[key] as unknown[]) ?? []), ...value]
    }
    for (const call of delta.tool_calls ?? []) {
      const { index = 0, id, type = 'function', function: part } = call
      const known = calls[index]
      if (known !== undefined) known.function.arguments += part?.arguments ?? ''
      else calls[index] = { id: id ?? '', type, function: { name: part?.name ?? '', arguments: part?.arguments ?? '' } }
    }
  }
  return { ...message, ...(calls.length > 0 && { tool_calls: calls }) } as JsonObject
}

function eventsOf(content: readonly JsonObject[]): JsonObject[] {
  const { stop_reason, usage, ...message } = answerOf(content)
  const blocks = content.flatMap((block, index) => {
    const { thinking, signature, text, input, ...head } = block
    const deltas = [
      ...(thinking === undefined
        ? []
        : [
            { type: 'thinking_delta', thinking },
            { type: 'signature_delta', signature },
          ]),
      ...(text === undefined ? [] : [{ type: 'text_delta', text }]),
      ...(isObject(input) && Object.keys(input).length > 0
        ? [{ type: 'input_json_delta', partial_json: JSON.stringify(input) }]
        : []),
    ]
    return [
      { type: 'content_block_start', index, content_block: { ...head, ...(input !== undefined && { input: {} }) } },
      ...deltas.map(delta => ({ type: 'content_block_delta', index, delta })),
      { type: 'content_block_stop', index },
    ]
  })
  return [
    { type: 'message_start', message: { ...message, content: [] } },
    ...blocks,
    { type: 'message_delta', delta: { stop_reason }, usage },
    { type: 'message_stop' },
  ]
}

test.each([
  ['plain', 'claude-sonnet-4-5', BUDGET, plainMessage],
  ['streamed', 'claude-sonnet-4-5', BUDGET, streamedMessage],
  ['plain', 'claude-opus-4-7', ADAPTIVE, plainMessage],
  ['streamed', 'claude-opus-4-7', ADAPTIVE, streamedMessage],
])(
  'a conversation of four turns with tools and thoughts comes back as the model said it: %s, %s',
  (_, model, thinking, read) => {
    const history: JsonObject[] = []
    for (const [turn, said] of SAID.entries()) {
      history.push(...said)

      const { body, dropped } = sent({ messages: history, tools, reasoning_effort: 'low' }, model)

      const spoken = body.messages.filter((each: JsonObject) => each.role === 'assistant')
      expect(spoken.map((each: JsonObject) => each.content)).toEqual(TURNS.slice(0, turn) as unknown[])
      expect(body.thinking).toEqual(thinking)
      expect(dropped).toEqual([])
      history.push(read(TURNS[turn] ?? []))
    }
  },
)

test.each([
  ['plain', plainMessage],
  ['streamed', streamedMessage],
])('thoughts keep their places around texts of white space, which do not go back: %s', (_, messageOf) => {
  const one = { type: 'thinking', thinking: 'Hm.', signature: 'sig-1' }
  const two = { type: 'redacted_thinking', data: 'hidden' }
  const call = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }
  const blocks = [one, { type: 'text', text: '\n\n' }, two, call]
  const messages = [
    { role: 'user', content: 'Hi' },
    messageOf(blocks),
    { role: 'tool', tool_call_id: 'toolu_1', content: 'x' },
  ]

  const { body } = sent({ messages, tools, reasoning_effort: 'low' }, 'claude-sonnet-4-5')

  expect(body.messages[1].content).toEqual([one, two, call])
})
