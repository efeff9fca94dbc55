import { describe, expect, test } from 'bun:test'
import type { JsonObject } from '#lib/json.ts'
import { sent } from '#tests/providers/anthropic/cases.ts'

const BUDGET = 'claude-sonnet-4-5'
const ADAPTIVE = 'claude-opus-4-7'
const THINKS_UNASKED = 'claude-sonnet-5'
const ALWAYS = 'claude-opus-5-5'

const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: {} } } }]
const calls = [{ id: 'a', type: 'function', function: { name: 'weather', arguments: '{}' } }]
const thought = { type: 'reasoning.text', text: 'Hm.', signature: 'sig', format: 'anthropic-claude-v1', index: 0 }
const result = { role: 'tool', tool_call_id: 'a', content: '21' }
const hi = { role: 'user', content: 'Hi' }

function thinkingOf(body: JsonObject, model: string) {
  const { body: fields, dropped } = sent(body, model)
  return { thinking: fields.thinking, effort: fields.output_config?.effort, dropped }
}

describe('an effort', () => {
  test.each([
    ['minimal', 1024],
    ['low', 2048],
    ['medium', 8192],
    ['high', 16_384],
    ['xhigh', 32_000],
    ['max', 32_000],
  ])('is a budget for models that know nothing else: %s', (reasoning_effort, budget_tokens) => {
    expect(thinkingOf({ reasoning_effort }, BUDGET)).toEqual({
      thinking: { type: 'enabled', budget_tokens },
      effort: undefined,
      dropped: [],
    })
  })

  test.each([
    [4000, 3200],
    [1100, 1024],
  ])('leaves room for the answer: of %d tokens %d', (max_tokens, budget_tokens) => {
    expect(thinkingOf({ reasoning_effort: 'high', max_tokens }, BUDGET).thinking).toEqual({
      type: 'enabled',
      budget_tokens,
    })
  })

  test('is left out where the answer is too short to think', () => {
    expect(thinkingOf({ reasoning_effort: 'high', max_tokens: 1024 }, BUDGET)).toEqual({
      thinking: undefined,
      effort: undefined,
      dropped: ['reasoning_effort'],
    })
  })

  test.each([
    ['minimal', ADAPTIVE, 'low'],
    ['medium', ADAPTIVE, 'medium'],
    ['xhigh', ADAPTIVE, 'xhigh'],
    ['xhigh', 'claude-opus-4-6', 'high'],
    ['max', 'claude-sonnet-4-6', 'max'],
    ['high', ALWAYS, 'high'],
    ['low', 'claude-of-the-future', 'low'],
  ])('is an effort for newer models: %s for %s is %s', (reasoning_effort, model, effort) => {
    expect(thinkingOf({ reasoning_effort }, model)).toEqual({
      thinking: { type: 'adaptive', display: 'summarized' },
      effort,
      dropped: [],
    })
  })

  test.each([
    [BUDGET, undefined, undefined],
    [ADAPTIVE, undefined, undefined],
    [THINKS_UNASKED, { type: 'disabled' }, undefined],
    [ALWAYS, undefined, 'low'],
    ['claude-fable-5-1', undefined, 'low'],
    ['claude-sonnet-5-5', { type: 'between_tools' }, undefined],
    ['claude-haiku-5-5', { type: 'disabled' }, undefined],
  ])('of none switches thoughts off as far as the model lets: %s', (model, thinking, effort) => {
    expect(thinkingOf({ reasoning_effort: 'none' }, model)).toEqual({ thinking, effort, dropped: [] })
  })

  test('is left out for models that cannot think', () => {
    expect(thinkingOf({ reasoning_effort: 'low' }, 'claude-3-5-haiku-20241022').dropped).toEqual(['reasoning_effort'])
  })

  test.each([BUDGET, ADAPTIVE, ALWAYS])('that nobody named changes nothing: %s', model => {
    expect(thinkingOf({}, model)).toEqual({ thinking: undefined, effort: undefined, dropped: [] })
  })
})

test("the API's own parameter goes as it is", () => {
  const thinking = { type: 'enabled', budget_tokens: 5000 }

  expect(thinkingOf({ thinking, reasoning_effort: 'low' }, BUDGET).thinking).toEqual(thinking)
  expect(thinkingOf({ thinking: { type: 'disabled' } }, THINKS_UNASKED).thinking).toEqual({ type: 'disabled' })
  expect(thinkingOf({ thinking: { type: 'between_tools' } }, 'claude-sonnet-5-5').thinking).toEqual({
    type: 'between_tools',
  })
})

describe('a tool that must be called', () => {
  test.each([
    [BUDGET, undefined],
    [THINKS_UNASKED, { type: 'disabled' }],
    ['claude-haiku-5-5', { type: 'disabled' }],
  ])('is called without thinking before it: %s', (model, thinking) => {
    const body = { tools, tool_choice: 'required', reasoning_effort: 'low' }

    expect(thinkingOf(body, model)).toEqual({ thinking, effort: undefined, dropped: ['reasoning_effort'] })
  })

  test('switches off what the model would do unasked', () => {
    expect(thinkingOf({ tools, tool_choice: 'required' }, THINKS_UNASKED)).toMatchObject({
      thinking: { type: 'disabled' },
      dropped: [],
    })
  })

  test('is refused where the model cannot be made to', () => {
    expect(() => sent({ tools, tool_choice: 'required' }, ALWAYS)).toThrow('does not take a forced tool')
  })
})

describe('thoughts that come back', () => {
  const history = (message: JsonObject) => [
    hi,
    { role: 'assistant', content: null, tool_calls: calls, ...message },
    result,
  ]

  test('go back to the places where they stood in the message', () => {
    const reasoning_details = [
      thought,
      { type: 'reasoning.encrypted', data: 'secret', format: 'anthropic-claude-v1', index: 2 },
    ]
    const messages = history({ content: 'I look.', reasoning_details, reasoning_content: 'Hm.' })

    const { body } = sent({ messages, tools, reasoning_effort: 'low' }, BUDGET)

    expect(body.messages[1].content.map((block: JsonObject) => block.type)).toEqual([
      'thinking',
      'text',
      'redacted_thinking',
      'tool_use',
    ])
    expect(body.messages[1].content[0]).toEqual({ type: 'thinking', thinking: 'Hm.', signature: 'sig' })
    expect(body.thinking.type).toBe('enabled')
  })

  test.each([
    ['are missing', {}],
    ['have no signature', { reasoning_details: [{ type: 'reasoning.text', text: 'Hm.' }] }],
    ['are of another model', { reasoning_details: [{ ...thought, format: 'google-gemini-v1' }] }],
    ['are only told', { reasoning_content: 'Hm.' }],
  ])('not, because they %s: the call goes without thoughts', (_, message) => {
    const { body, dropped } = sent({ messages: history(message), tools, reasoning_effort: 'low' }, BUDGET)

    expect(body).not.toHaveProperty('thinking')
    expect(dropped).toEqual(['reasoning_effort'])
    expect(body.messages[1].content.map((block: JsonObject) => block.type)).toEqual(['tool_use'])
  })

  test('are not needed by models that decide themselves, nor behind what the user says', () => {
    const over = [...history({}), { role: 'assistant', content: '21 degrees.' }, hi]

    expect(sent({ messages: history({}), tools, reasoning_effort: 'low' }, ADAPTIVE).body.thinking.type).toBe(
      'adaptive',
    )
    expect(sent({ messages: over, tools, reasoning_effort: 'low' }, BUDGET).body.thinking.type).toBe('enabled')
  })

  test('at the first of several calls are enough', () => {
    const second = [{ ...calls[0], id: 'b' }]
    const messages = [
      ...history({ reasoning_details: [thought] }),
      { role: 'assistant', content: null, tool_calls: second },
      { ...result, tool_call_id: 'b' },
    ]

    expect(sent({ messages, tools, reasoning_effort: 'low' }, BUDGET).body.thinking.type).toBe('enabled')
  })

  test('stay away where the model does not think', () => {
    const messages = history({ reasoning_details: [thought] })

    expect(sent({ messages, tools }, BUDGET).body.messages[1].content).toHaveLength(1)
    expect(sent({ messages, tools }, ALWAYS).body.messages[1].content).toHaveLength(2)
  })

  test('stay away where the model may not think this time', () => {
    const body = { messages: history({ reasoning_details: [thought] }), tools, reasoning_effort: 'low' }

    const { messages } = sent({ ...body, tool_choice: 'required' }, BUDGET).body

    expect(messages[1].content.map((block: JsonObject) => block.type)).toEqual(['tool_use'])
  })

  test('are not the last of a message, as they are where the answer was cut off', () => {
    const cut = (content: string) => [
      hi,
      { role: 'assistant', content, reasoning_details: [{ ...thought, index: 1 }] },
      hi,
    ]

    expect(sent({ messages: cut('') }, ADAPTIVE).body.messages).toHaveLength(1)
    expect(sent({ messages: cut('So') }, ADAPTIVE).body.messages[1].content).toEqual([{ type: 'text', text: 'So' }])
  })

  test('leave no place for an answer that was begun', () => {
    const messages = [hi, { role: 'assistant', content: 'So' }]

    expect(thinkingOf({ messages, reasoning_effort: 'low' }, BUDGET).dropped).toEqual(['reasoning_effort'])
  })
})
