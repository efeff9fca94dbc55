import { expect, test } from 'bun:test'
import { composeKnowledge } from '#src/compose/knowledge.ts'
import { server } from '#tests/support/calls.ts'

const knowledge = composeKnowledge()
const openai = server('a', { kind: 'openai', baseUrl: 'https://api.openai.com/v1' })

test('a model at its own provider has abilities and a price', () => {
  expect(knowledge(openai, 'gpt-4o-2024-11-20')).toEqual({
    abilities: { context_length: 128_000, tools: true, vision: true, json_schema: true },
    price: { input: 2.5, cache_read: 1.25, output: 10, request: 0 },
  })
})

test('at another address it has no price', () => {
  const proxy = server('a', { kind: 'openai', baseUrl: 'https://proxy.example.com/v1' })
  const other = server('a', { kind: 'openai_compatible', baseUrl: 'https://api.openai.com/v1' })

  for (const at of [proxy, other])
    expect(knowledge(at, 'gpt-4o')).toMatchObject({ price: null, abilities: { vision: true } })
})

test('what the dialect has no words for cannot be done', () => {
  const deepseek = server('a', { kind: 'deepseek', baseUrl: 'https://api.deepseek.com' })

  expect(knowledge(deepseek, 'anything').abilities).toEqual({
    context_length: null,
    tools: null,
    vision: null,
    json_schema: false,
  })
})

test('of an unknown model nothing is known', () => {
  expect(knowledge(openai, 'my-model')).toEqual({
    abilities: { context_length: null, tools: null, vision: null, json_schema: null },
    price: null,
  })
})
