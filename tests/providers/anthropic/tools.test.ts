import { describe, expect, test } from 'bun:test'
import type { JsonObject } from '#lib/json.ts'
import { toOutputSchema } from '#providers/anthropic/schema.ts'
import { sent } from '#tests/providers/anthropic/cases.ts'

const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const weather = { type: 'function', function: { name: 'weather', description: 'Tells it.', parameters: schema } }
const time = { type: 'function', function: { name: 'time' } }
const tools = [weather, time]

describe('tools', () => {
  test('are sent with a schema, be it an empty one', () => {
    expect(sent({ tools }).body.tools).toEqual([
      { name: 'weather', description: 'Tells it.', input_schema: schema },
      { name: 'time', input_schema: { type: 'object', properties: {} } },
    ])
  })

  test('have a schema of objects, also where it does not say so', () => {
    const bare = [{}, { properties: { city: { type: 'string' } } }].map(parameters => ({
      type: 'function',
      function: { name: 'f', parameters },
    }))

    expect(sent({ tools: bare }).body.tools).toEqual([
      { name: 'f', input_schema: { type: 'object' } },
      { name: 'f', input_schema: { type: 'object', properties: { city: { type: 'string' } } } },
    ])
  })

  test("of the API's own go as they are", () => {
    const search = { type: 'web_search_20250305', name: 'web_search', max_uses: 3 }

    expect(sent({ tools: [search] }).body.tools).toEqual([search])
  })

  describe('that are strict', () => {
    const text = { type: 'string' }
    const maybe = { type: ['string', 'null'] }
    const strict = (parameters: JsonObject, name = 'f') => ({
      type: 'function',
      function: { name, parameters: { type: 'object', ...parameters }, strict: true },
    })
    const many = (count: number, value: JsonObject) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`p${at}`, value]))
    const exactly = (given: JsonObject) => {
      const { tools = [], output_config } = sent(given).body
      return [output_config !== undefined, tools.filter((tool: JsonObject) => tool.strict === true).length]
    }
    const nested = (count: number, value: JsonObject) => ({
      properties: { list: { type: 'array', items: { type: 'object', properties: many(count, value) } } },
      required: ['list'],
    })
    const format = (schema: JsonObject) => ({ response_format: { type: 'json_schema', json_schema: { schema } } })
    const formatOf = (count: number) => format({ type: 'object', properties: many(count, text) })

    test.each([
      ['twenty in all', Array.from({ length: 22 }, () => strict({ properties: {} })), 20],
      ['as many as have 24 optional values together', [strict({ properties: many(24, text) })], 1],
      ['none with 25 optional values', [strict({ properties: many(25, text) })], 0],
      ['none with 25 optional values further inside', [strict(nested(25, text))], 0],
      ['all but those beyond what is left', [10, 20, 14, 1].map(count => strict({ properties: many(count, text) })), 2],
      [
        'as many as have 16 values of several types together',
        [16, 1, 0].map(count => strict({ properties: many(count, maybe), required: Object.keys(many(count, maybe)) })),
        2,
      ],
    ])('are so up to what the API compiles: %s', (_, given, expected) => {
      expect(exactly({ tools: given })).toEqual([false, expected])
    })

    test('leave the room to the answer, where it has a schema', () => {
      const given = [strict({ properties: many(5, text) })]

      expect(exactly({ tools: given, ...formatOf(20) })).toEqual([true, 0])
      expect(exactly({ tools: given, ...formatOf(19) })).toEqual([true, 1])
      expect(exactly({ tools: given, ...formatOf(25) })).toEqual([false, 1])
    })

    test('are not refused beyond that: they go as tools of which the schema is only told', () => {
      const parameters = { type: 'object', properties: many(25, text) }

      expect(sent({ tools: [strict(parameters)] }).body.tools).toEqual([{ name: 'f', input_schema: parameters }])
    })
  })

  test('that are strict are so where model and schema allow it', () => {
    const strict = (parameters: JsonObject) => [{ type: 'function', function: { name: 'f', parameters, strict: true } }]
    const exact = { ...schema, additionalProperties: false }
    const open = { type: 'object', properties: {}, additionalProperties: true }

    expect(sent({ tools: strict(schema) }).body.tools).toEqual([{ name: 'f', input_schema: exact, strict: true }])
    expect(sent({ tools: strict({ properties: schema.properties, required: ['city'] }) }).body.tools).toEqual([
      { name: 'f', input_schema: exact, strict: true },
    ])
    expect(sent({ tools: strict({}) }).body.tools).toEqual([{ name: 'f', input_schema: { type: 'object' } }])
    expect(sent({ tools: strict(open) }).body.tools).toEqual([{ name: 'f', input_schema: open }])
    expect(sent({ tools: strict(schema) }, 'claude-sonnet-4-0').body.tools).toEqual([
      { name: 'f', input_schema: schema },
    ])
  })
})

describe('the choice', () => {
  test.each([
    [{}, undefined],
    [{ tool_choice: 'auto' }, undefined],
    [{ tool_choice: 'none' }, { type: 'none' }],
    [{ tool_choice: 'required' }, { type: 'any' }],
    [{ tool_choice: { type: 'function', function: { name: 'time' } } }, { type: 'tool', name: 'time' }],
    [{ parallel_tool_calls: false }, { type: 'auto', disable_parallel_tool_use: true }],
    [{ parallel_tool_calls: true }, undefined],
    [
      { tool_choice: 'required', parallel_tool_calls: false },
      { type: 'any', disable_parallel_tool_use: true },
    ],
    [{ tool_choice: 'none', parallel_tool_calls: false }, { type: 'none' }],
    [{ tool_choice: { type: 'any' } }, { type: 'any' }],
  ])('%j', (given, choice) => {
    expect(sent({ tools, ...given }).body.tool_choice).toEqual(choice)
  })

  test('may allow only some tools, and then no others are sent', () => {
    const tool_choice = { type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [time] } }

    const { body } = sent({ tools, tool_choice })

    expect(body.tools.map((tool: JsonObject) => tool.name)).toEqual(['time'])
    expect(body.tool_choice).toEqual({ type: 'any' })
  })

  test('is left out where there are no tools', () => {
    expect(sent({ tool_choice: 'auto', tools: [] }).body).not.toHaveProperty('tool_choice')
  })
})

describe('an answer in JSON', () => {
  const format = (given: JsonObject) => ({ response_format: { type: 'json_schema', json_schema: { schema: given } } })
  const open = { type: 'object', additionalProperties: { type: 'number' } }

  test('is asked for as a structured output', () => {
    const { body } = sent(format(schema))

    expect(body.output_config).toEqual({
      format: { type: 'json_schema', schema: { ...schema, additionalProperties: false } },
    })
    expect(body).not.toHaveProperty('tools')
  })

  test('goes together with an effort', () => {
    expect(sent({ ...format(schema), reasoning_effort: 'high' }, 'claude-opus-4-7').body.output_config).toMatchObject({
      effort: 'high',
      format: { type: 'json_schema' },
    })
  })

  test.each([
    ['of any shape', { response_format: { type: 'json_object' } }, 'claude-sonnet-4-5', { type: 'object' }],
    ['with open objects', format(open), 'claude-sonnet-4-5', open],
    ['of an older model', format(schema), 'claude-sonnet-4-0', schema],
    ['without a type', format({}), 'claude-sonnet-4-0', { type: 'object' }],
  ])('%s is what a tool is called with', (_, body, model, input_schema) => {
    expect(sent(body, model).body).toMatchObject({
      tools: [{ name: 'json_answer', input_schema }],
      tool_choice: { type: 'tool', name: 'json_answer', disable_parallel_tool_use: true },
    })
  })

  test('stands beside the tools of the caller', () => {
    const { body } = sent({ response_format: { type: 'json_object' }, tools })

    expect(body.tools.map((tool: JsonObject) => tool.name)).toEqual(['weather', 'time', 'json_answer'])
    expect(body.tool_choice).toEqual({ type: 'any', disable_parallel_tool_use: true })
  })

  test.each(['claude-opus-5-5', 'claude-sonnet-5-5', 'claude-fable-5-1'])(
    'of any shape is refused where no tool can be forced: %s',
    model => {
      expect(() => sent({ response_format: { type: 'json_object' } }, model)).toThrow('JSON of any shape')
    },
  )

  test('is not asked for by a response format of plain text', () => {
    expect(sent({ response_format: { type: 'text' } }).body).not.toHaveProperty('output_config')
  })
})

describe('a schema', () => {
  test('is closed at every level, and tells its bounds in words', () => {
    const given = {
      $defs: { leaf: { type: 'object', properties: { at: { type: 'string', format: 'date-time' } } } },
      type: 'object',
      properties: {
        age: { type: 'integer', minimum: 0, maximum: 9, description: 'Years.' },
        code: { type: 'string', format: 'regex', pattern: '^a' },
        list: { type: 'array', minItems: 1, items: { $ref: '#/$defs/leaf' } },
        either: { oneOf: [{ type: 'null' }, { type: 'object', properties: {} }] },
      },
    }

    expect(toOutputSchema(given)).toEqual({
      $defs: {
        leaf: {
          type: 'object',
          properties: { at: { type: 'string', format: 'date-time' } },
          additionalProperties: false,
        },
      },
      type: 'object',
      additionalProperties: false,
      properties: {
        age: { type: 'integer', description: 'Years. {minimum: 0, maximum: 9}' },
        code: { type: 'string', description: '{format: "regex", pattern: "^a"}' },
        list: { type: 'array', minItems: 1, items: { $ref: '#/$defs/leaf' } },
        either: { anyOf: [{ type: 'null' }, { type: 'object', properties: {}, additionalProperties: false }] },
      },
    })
  })

  test.each([
    { type: 'object' },
    { type: 'object', properties: {}, additionalProperties: true },
    { type: 'array', items: { type: 'object', additionalProperties: { type: 'string' } } },
  ])('of objects with any keys cannot be said: %j', given => {
    expect(toOutputSchema(given)).toBeNull()
  })
})
