import { describe, expect, test } from 'bun:test'
import { z } from 'zod'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { toGeminiSchema } from '#providers/gemini/schema.ts'

/** The schema as it goes over the wire. */
function converted(schema: JsonValue) {
  const { schema: made, lost } = toGeminiSchema(schema)
  return { made: JSON.parse(JSON.stringify(made)) as JsonValue, lost }
}

test.each<[string, JsonObject]>([
  ['types', { type: ['string', 'null'], description: 'd', title: 't', format: 'date-time' }],
  ['objects', { type: 'object', properties: { a: { type: 'string' } }, required: ['a'], additionalProperties: false }],
  ['lists', { type: 'array', items: { type: 'number', minimum: 1, maximum: 2 }, minItems: 1, maxItems: 3 }],
  ['tuples', { type: 'array', prefixItems: [{ type: 'string' }, { type: 'number' }] }],
  ['choices', { anyOf: [{ type: 'string' }, { type: 'null' }] }],
  ['enums', { type: 'string', enum: ['a', 'b'] }],
  ['definitions', { $ref: '#/$defs/a', $defs: { a: { type: 'string' } } }],
  ['recursion', { type: 'object', properties: { next: { $ref: '#' } } }],
  ['maps', { type: 'object', additionalProperties: { type: 'number' } }],
])('schemas with %s are passed on unchanged', (_, schema) => {
  expect(converted(schema)).toEqual({ made: schema, lost: [] })
})

test.each<[string, JsonObject, JsonObject]>([
  ['a constant', { const: 'a' }, { enum: ['a'] }],
  ['a null as a constant', { const: null }, { type: 'null' }],
  ['older definitions', { $ref: '#/definitions/a', definitions: { a: {} } }, { $ref: '#/$defs/a', $defs: { a: {} } }],
  ['the older word for null', { type: 'string', nullable: true }, { type: ['string', 'null'] }],
  ['the same, said first', { nullable: true, type: 'string' }, { type: ['string', 'null'] }],
  [
    'an enum with null',
    { enum: ['a', null], type: ['string', 'null'] },
    { anyOf: [{ type: 'string', enum: ['a'] }, { type: 'null' }] },
  ],
  ['both truth values', { enum: [true, false] }, { type: 'boolean' }],
  [
    'open bounds of integers',
    { type: 'integer', exclusiveMinimum: 0, exclusiveMaximum: 9 },
    { type: 'integer', minimum: 1, maximum: 8 },
  ],
  [
    'the older tuples',
    { type: 'array', items: [{ type: 'string' }] },
    { type: 'array', prefixItems: [{ type: 'string' }] },
  ],
  ['a single allOf', { title: 'mine', allOf: [{ type: 'string', title: 'its' }] }, { type: 'string', title: 'mine' }],
  [
    'notes',
    {
      $schema: 'x',
      $comment: 'y',
      default: 1,
      examples: [1],
      deprecated: true,
      readOnly: true,
      'x-a': 1,
      type: 'number',
    },
    { type: 'number' },
  ],
  ['what forbids nothing', { type: 'string', minLength: 0, uniqueItems: false }, { type: 'string' }],
  ['notes beside a reference', { $ref: '#/$defs/a', description: 'd' }, { $ref: '#/$defs/a' }],
  ['anything', { items: true }, { items: {} }],
])('a schema with %s is translated without loss', (_, schema, made) => {
  expect(converted(schema)).toEqual({ made, lost: [] })
})

test.each<[JsonObject, string[]]>([
  [{ properties: { a: { items: { pattern: 'x' } } } }, ['properties.a.items.pattern']],
  [{ anyOf: [{}, { minLength: 1 }] }, ['anyOf.1.minLength']],
  [{ $defs: { a: { multipleOf: 2 } } }, ['$defs.a.multipleOf']],
  [{ type: 'number', exclusiveMinimum: 0 }, ['exclusiveMinimum']],
  [{ const: true }, ['const']],
  [{ enum: ['a', true] }, ['enum']],
  [{ allOf: [{}, {}] }, ['allOf']],
  [{ not: {}, if: {}, else: {}, uniqueItems: true }, ['not', 'if', 'else', 'uniqueItems']],
  [{ patternProperties: {}, unevaluatedProperties: false }, ['patternProperties', 'unevaluatedProperties']],
  [{ $ref: 'https://x.test/a' }, ['$ref']],
  [{ $ref: '#/$defs/a', minimum: 1 }, ['minimum']],
  [{ properties: { a: false } }, ['properties.a.false']],
])('%j loses what Gemini does not know, with its place', (schema, lost) => {
  expect(converted(schema).lost).toEqual(lost)
})

describe('schemas that zod writes', () => {
  test.each([
    ['plain ones', z.object({ a: z.string(), b: z.number().optional(), c: z.enum(['x', 'y']), d: z.boolean() }), []],
    [
      'nested ones',
      z.object({
        a: z
          .array(z.object({ b: z.string().nullable() }))
          .min(1)
          .max(3),
      }),
      [],
    ],
    ['unions', z.object({ a: z.union([z.string(), z.number()]), b: z.literal('x') }), []],
    ['ones with lengths', z.object({ a: z.string().min(1) }), ['properties.a.minLength']],
  ])('%s', (_, schema, lost) => {
    expect(toGeminiSchema(z.toJSONSchema(schema) as JsonObject).lost).toEqual(lost)
  })
})
