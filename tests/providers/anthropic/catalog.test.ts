import { describe, expect, test } from 'bun:test'
import { anthropic, claude } from '#tests/providers/anthropic/cases.ts'

const { catalog } = anthropic
const { server } = claude('m')

describe('the catalogue', () => {
  test('probes by a list of one model, which costs nothing', () => {
    const probes = catalog.probes({ ...server, secrets: ['key'] })

    expect(probes.map(({ method, url }) => `${method} ${url}`)).toEqual([
      'GET https://api.anthropic.com/v1/models?limit=1',
    ])
    expect(probes[0]?.headers).toMatchObject({ 'x-api-key': 'key', 'anthropic-version': '2023-06-01' })
  })

  test('asks for the longest page, and for the next one where there is more', () => {
    const page = JSON.stringify({ data: [], has_more: true, last_id: 'claude/a' })

    expect(catalog.list(server, 'key').url).toBe('https://api.anthropic.com/v1/models?limit=1000')
    expect(catalog.next?.(server, 'key', page)).toMatchObject({
      url: 'https://api.anthropic.com/v1/models?limit=1000&after_id=claude%2Fa',
      headers: { 'x-api-key': 'key' },
    })
    expect(catalog.next?.(server, 'key', '{"data":[],"has_more":false,"last_id":"a"}')).toBeNull()
  })

  test('knows how much a model reads, where the server says it', () => {
    const data = [
      { type: 'model', id: 'claude-opus-5', created_at: 'soon', max_input_tokens: 1_000_000 },
      { id: '' },
      7,
    ]

    expect(catalog.decodeList(JSON.stringify({ data }))).toEqual([
      { id: 'claude-opus-5', contextLength: 1_000_000, created: 0, ownedBy: 'anthropic', embedding: false },
    ])
  })

  test.each(['', '[]', '{"data":7}'])('rejects the body %j, which is no list of models', body => {
    expect(() => catalog.decodeList(body)).toThrow('no list of models')
  })
})
