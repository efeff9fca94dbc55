import { expect, test } from 'bun:test'
import { parse } from 'yaml'
import { readKnownModels } from '#config/known-models.ts'

const known = readKnownModels()

test.each([
  ['gpt-4o', 'gpt-4o'],
  ['gpt-4o-2024-11-20', 'gpt-4o'],
  ['openai/gpt-4o-mini', 'gpt-4o-mini'],
  ['claude-haiku-4-5-20251001', 'claude-haiku-4-5'],
  ['models/gemini-2.5-flash', 'gemini-2.5-flash'],
])('%s is %s', (name, id) => {
  expect(known(name)?.id).toBe(id)
})

test.each(['gpt-4o-audio', 'llama3.1:8b', '', 'gpt'])('%j is unknown', name => {
  expect(known(name)).toBeNull()
})

test('every price has a page and a day, and none is a guess of zero', () => {
  const text = 'models: [{ id: a, kind: openai, context_length: 1, input: [text], tools: true, json_schema: true, '

  expect(() => readKnownModels(parse(`${text}price: null }]`))).toThrow(/source/)
  expect(() =>
    readKnownModels(parse(`${text}price: { input: -1 }, source: "https://a.test", date: 2026-01-01 }]`)),
  ).toThrow()
  expect(known('gpt-5.5')).toMatchObject({ price: { cache_write: null }, source: expect.stringMatching(/^https:/) })
})

test('a model that is named twice is a mistake', () => {
  const entry =
    '{ id: a, kind: openai, context_length: 1, input: [text], tools: true, json_schema: true, price: null, source: "https://a.test", date: "2026-01-01" }'

  expect(() => readKnownModels(parse(`models: [${entry}, ${entry}]`))).toThrow('twice')
  expect(readKnownModels(parse(`models: [${entry}]`))('a')?.context_length).toBe(1)
})
