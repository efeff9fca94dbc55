import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Provider } from '#providers/provider.ts'
import { callOf } from '#tests/providers/replay.ts'
import { call, server, target } from '#tests/support/calls.ts'
import { recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

/** An answer that thinks and calls a tool, of each dialect that was recorded with one. */
const ANSWERS = {
  deepseek: 'deepseek/chat-tool-reasoning',
  ollama: 'ollama/chat-tool-thinking',
  openai_compatible: 'openai-compatible/ollama-v1/chat-tool',
} as const

const question: JsonObject = { role: 'user', content: 'What is it like there?' }
const instructions: JsonObject = { role: 'developer', content: 'Use the tool.' }

function providerOf(kind: string): Provider {
  const provider = PROVIDERS.get(kind)
  if (provider === undefined) throw new Error(`${kind} is not built`)
  return provider
}

/** What a client gets for a recorded answer and keeps for the next turn. */
function messageOf(kind: keyof typeof ANSWERS): JsonObject {
  const recorded = recordedCase(ANSWERS[kind])
  const answer = providerOf(kind).decode(callOf(recorded), recorded.text)
  if (answer instanceof GatewayError) throw answer
  return JSON.parse(answer.text).choices[0].message
}

/** The messages as the server gets them. */
function sent(kind: string, messages: Call['body']['messages']): readonly JsonObject[] {
  const provider = providerOf(kind)
  const at = server('a', { kind, baseUrl: provider.defaultBaseUrl ?? 'http://a.test/v1' })
  const { body } = provider.encode(call({ body: { model: 'm', messages } }), target('a', { server: at }), null)
  return JSON.parse(body?.join('') ?? '').messages
}

const idOf = (message: JsonObject) => callsOf(message)[0]?.id
const callsOf = ({ tool_calls: calls }: JsonObject) => (Array.isArray(calls) ? calls.filter(isObject) : [])

describe.skipIf(sharedDir() === null)('four turns with a tool and thinking', () => {
  test.each(Object.keys(ANSWERS) as (keyof typeof ANSWERS)[])('reach %s and come back whole', kind => {
    const thought = messageOf(kind)
    const result: JsonObject = { role: 'tool', tool_call_id: idOf(thought), content: 'Rain.' }
    const closing: JsonObject = { role: 'assistant', content: 'It rains.' }

    const first = sent(kind, [instructions, question])
    const whole = sent(kind, [instructions, question, thought, result, closing, question])

    expect(idOf(thought)).toBeString()
    expect(thought.reasoning_content).toBeString()
    expect(first.map(({ role }) => role)).toEqual(['system', 'user'])
    expect(whole.slice(0, 2)).toEqual([...first])
    expect(whole.map(({ role }) => role)).toEqual(['system', 'user', 'assistant', 'tool', 'assistant', 'user'])
    expect(whole[3]).toMatchObject({ content: 'Rain.', tool_call_id: idOf(thought) })
  })

  test("DeepSeek's thinking goes back to it, which it asks for", () => {
    const thought = messageOf('deepseek')

    expect(sent('deepseek', [question, thought])[1]).toEqual(thought)
  })

  test("Ollama gets back what it sent: thinking, the tool's name, arguments as an object", () => {
    const original = JSON.parse(recordedCase(ANSWERS.ollama).text).message
    const thought = messageOf('ollama')
    const result: JsonObject = { role: 'tool', tool_call_id: idOf(thought), content: 'Rain.' }

    const [, back, answered] = sent('ollama', [question, thought, result])

    const [given] = callsOf(original)
    expect(back).toMatchObject({ thinking: original.thinking })
    expect(callsOf(back ?? {})).toEqual([{ id: given?.id, function: expect.objectContaining({}) }])
    expect(callsOf(back ?? {})[0]?.function).toEqual({
      name: 'get_current_weather',
      arguments: isObject(given?.function) ? given.function.arguments : undefined,
    })
    expect(answered).toMatchObject({ tool_name: 'get_current_weather' })
  })
})

test.each(['anthropic', 'gemini', 'ollama'])(
  'what a tool call nests without end goes to %s as the text that it is',
  kind => {
    const nested = `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`
    const made = { id: 'call_a', type: 'function', function: { name: 'f', arguments: nested } }
    const messages = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: null, tool_calls: [made] },
      { role: 'tool', tool_call_id: 'call_a', content: nested },
    ]

    const body = PROVIDERS.get(kind)?.encode(
      call({ body: { model: 'm', messages } }),
      target('a', { server: server('a', { kind }) }),
      null,
    ).body

    expect(body?.join('').split(JSON.stringify(nested))).toHaveLength(3)
  },
)
