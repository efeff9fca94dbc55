import { expect, test } from 'bun:test'
import { type Ask, createLister } from '#src/compose/listing.ts'
import { server } from '#tests/support/calls.ts'

const at = server('o', { kind: 'ollama', baseUrl: 'http://o.test:11434' })
const show = { model_info: { 'llama.context_length': 8192 }, capabilities: ['completion', 'tools'] }

/** A server that answers these paths; what is absent answers 404. */
function lister(answers: Readonly<Record<string, unknown>>) {
  const asked: string[] = []
  const ask: Ask = async ({ url, body }) => {
    const path = new URL(url).pathname
    asked.push(body === null ? path : `${path} ${JSON.parse(body.join('')).model}`)
    const answer = answers[path]
    return { status: answer === undefined ? 404 : 200, header: () => null, body: JSON.stringify(answer ?? {}) }
  }
  return { asked, list: createLister(ask) }
}

test('a server that tells more of its models elsewhere is asked there, once for each', async () => {
  const tags = { models: [{ model: 'a', modified_at: '2026-01-01T00:00:00Z' }, { model: 'b' }] }
  const { asked, list } = lister({ '/api/tags': tags, '/api/show': show, '/api/ps': { models: [{ model: 'b' }] } })

  const models = await list(at)
  await list(at)

  expect(models).toMatchObject([
    { id: 'a', contextLength: 8192, abilities: { tools: true, vision: false }, loaded: false },
    { id: 'b', contextLength: 8192, loaded: true },
  ])
  expect(asked).toEqual(['/api/tags', '/api/show a', '/api/show b', '/api/ps', '/api/tags', '/api/ps'])
})

test('a list that says it all is enough', async () => {
  const tags = { models: [{ model: 'a', details: { context_length: 4096 }, capabilities: ['completion'] }] }
  const { asked, list } = lister({ '/api/tags': tags, '/api/show': show })

  const models = await list(at)

  expect(asked).toEqual(['/api/tags', '/api/ps'])
  expect(models).toMatchObject([{ id: 'a', contextLength: 4096 }])
  expect(models[0]).not.toHaveProperty('loaded')
})

test('a model of which nothing is told is listed all the same, and asked about again', async () => {
  const { asked, list } = lister({ '/api/tags': { models: [{ model: 'a' }] } })

  expect(await list(at)).toMatchObject([{ id: 'a', contextLength: null }])
  await list(at)

  expect(asked.filter(path => path === '/api/show a')).toHaveLength(2)
})

test('without a list there is nothing', async () => {
  await expect(lister({}).list(at)).rejects.toThrow('HTTP 404')
  expect(await lister({}).list(server('x', { kind: 'nothing' }))).toEqual([])
})

test('of a list without measure only the first models count, and no further page is asked for', async () => {
  const page = {
    models: Array.from({ length: 3000 }, (_, index) => ({
      name: `models/m${index}`,
      supportedGenerationMethods: ['generateContent'],
    })),
    nextPageToken: 'more',
  }
  const { asked, list } = lister({ '/models': page })

  expect(await list(server('g', { kind: 'gemini', baseUrl: 'http://g.test' }))).toHaveLength(5000)
  expect(asked).toEqual(['/models', '/models'])
})
