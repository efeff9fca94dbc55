import { expect, test } from 'bun:test'
import { openai } from '#providers/openai/index.ts'
import { server } from '#tests/support/calls.ts'

test('OpenAI has an address, and nothing but its list to probe', () => {
  const at = server('o', { baseUrl: openai.defaultBaseUrl ?? '', secrets: ['sk-1'] })

  expect(openai.normalizeBaseUrl(at.baseUrl)).toBe('https://api.openai.com/v1')
  expect(openai.catalog.probes(at)).toMatchObject([
    { method: 'GET', url: 'https://api.openai.com/v1/models', headers: { authorization: 'Bearer sk-1' }, body: null },
  ])
})

test('it speaks the dialect that all the others imitate', () => {
  expect(openai).toMatchObject({ name: 'openai', framing: 'sse' })
  expect([...openai.endpoints]).toEqual(['chat', 'completions', 'embeddings'])
})
