import { expect, test } from 'bun:test'
import { gemini } from '#providers/gemini/index.ts'
import { server } from '#tests/support/calls.ts'

const { catalog } = gemini
const at = server('g', { baseUrl: 'https://g.test/v1beta', secrets: ['first', 'second'] })

const entry = (name: string, methods: readonly string[], more: object = {}) => ({
  name: `models/${name}`,
  version: '001',
  displayName: name,
  inputTokenLimit: 1_048_576,
  outputTokenLimit: 65_536,
  supportedGenerationMethods: methods,
  ...more,
})

test('a probe asks for one model, which costs nothing', () => {
  const [probe, ...others] = catalog.probes(at)

  expect(others).toEqual([])
  expect(probe).toMatchObject({
    method: 'GET',
    url: 'https://g.test/v1beta/models?pageSize=1',
    headers: { 'x-goog-api-key': 'first' },
    body: null,
  })
})

test('a list has what can be asked, by its short name', () => {
  const models = [
    entry('gemini-2.5-flash', ['generateContent', 'countTokens']),
    entry('gemini-embedding-001', ['embedContent'], { inputTokenLimit: 2048 }),
    entry('both', ['embedContent', 'generateContent'], { inputTokenLimit: 0 }),
    entry('imagen-4', ['predict']),
    entry('live', ['bidiGenerateContent']),
    { name: 'models/odd' },
    { supportedGenerationMethods: ['generateContent'] },
    null,
  ]

  expect(catalog.decodeList(JSON.stringify({ models }))).toEqual([
    { id: 'gemini-2.5-flash', contextLength: 1_048_576, created: 0, ownedBy: 'google', embedding: false },
    { id: 'gemini-embedding-001', contextLength: 2048, created: 0, ownedBy: 'google', embedding: true },
    { id: 'both', contextLength: null, created: 0, ownedBy: 'google', embedding: false },
  ])
})

test('a list may be empty, but must be one', () => {
  expect(catalog.decodeList('{}')).toEqual([])
  expect(() => catalog.decodeList('[]')).toThrow()
  expect(() => catalog.decodeList('<html>')).toThrow()
  expect(() => catalog.decodeList('{"models":5}')).toThrow()
})

test('a list goes on while there is a token for the next page', () => {
  const next = (body: string) => catalog.next?.(at, 'second', body)

  expect(next('{"models":[],"nextPageToken":"a/b="}')).toMatchObject({
    url: 'https://g.test/v1beta/models?pageSize=1000&pageToken=a%2Fb%3D',
    headers: { 'x-goog-api-key': 'second' },
  })
  expect(['{}', '{"nextPageToken":""}', '<html>'].map(next)).toEqual([null, null, null])
})
