import { describe, expect, test } from 'bun:test'
import Ajv from 'ajv/dist/2020'
import type { ConfigInput } from '#config/schema.ts'
import { readGuides } from '#http/docs/guides.ts'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { OPENAI_PARAMETERS } from '#providers/parameters.ts'
import { ADMINISTERED, AS_ADMIN, edgeOf, errorOf, idFor, SERVER, signed } from './edge.ts'

interface Parameter {
  readonly in: string
  readonly name: string
  readonly schema: {
    readonly enum?: readonly unknown[]
    readonly type?: string
    readonly minimum?: number
    readonly maximum?: number
    readonly format?: string
    readonly pattern?: string
    readonly anyOf?: readonly unknown[]
  }
}

interface Samples {
  readonly good: readonly unknown[]
  readonly bad: readonly unknown[]
}

interface Described {
  readonly operationId: string
  readonly parameters?: readonly Parameter[]
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly headers?: Readonly<Record<string, unknown>> }>
  >
  readonly requestBody?: {
    readonly required?: boolean
    readonly content: Readonly<Record<string, { readonly examples?: Readonly<Record<string, { value: unknown }>> }>>
  }
}

const table = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)

/** A path as a client writes it. */
function written(path: string, id: string): string {
  return path.replace('{id}', id).replace('{type}', 'deploy')
}

async function documented(more: ConfigInput = {}) {
  const edge = await edgeOf({ ...ADMINISTERED, ...more }, { clock: undefined })
  const document = (await (await edge.ask('/openapi.json')).json()) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
    readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
  }
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({ method: method.toUpperCase(), path, ...described })),
  )
  return { edge, operations, document, schemas: document.components.schemas }
}

describe('the document that is served', () => {
  test('calls guides by the titles that they have', async () => {
    const { document } = await documented()
    const named = [...JSON.stringify(document).matchAll(/\b[Gg]uide (?:\\"([^"\\]+)\\"|([A-Z]\w+))/g)]
    const titles = readGuides().map(({ title }) => title)

    expect(named.length).toBeGreaterThan(0)
    for (const [, quoted, bare] of named) expect(titles).toContain(quoted ?? bare ?? '')
  })

  test('has the operations of the table of routes, and no others', async () => {
    const { operations } = await documented()

    const inTable = table.flatMap(({ operation, method }) => (operation === null ? [] : [`${method} ${operation}`]))
    expect(operations.map(({ method, operationId }) => `${method} ${operationId}`).toSorted()).toEqual(
      [...new Set(inTable)].toSorted(),
    )
  })

  test('lets nothing be null that its own schema forbids', async () => {
    const edge = await edgeOf(ADMINISTERED, { clock: undefined })
    const { components } = await (await edge.ask('/openapi.json')).json()

    // A reference beside "or null" is both at once, which nothing but an object can be.
    expect(JSON.stringify(components)).not.toMatch(/"allOf":\[\{"\$ref":"[^"]*"\},\{"type":\["object","null"\]/)
  })

  test('says of each path that takes a credential that whoever guesses has to wait', async () => {
    const { operations } = await documented()
    const guarded = operations.filter(({ responses }) => responses['401'] !== undefined)

    expect(guarded.length).toBeGreaterThan(30)
    expect(guarded.filter(({ responses }) => responses['429'] === undefined).map(each => each.operationId)).toEqual([])
  })

  test('names only paths that are served with their method', async () => {
    const { edge, operations } = await documented()

    for (const { method, path } of operations) {
      const id = path.startsWith('/v1/models') ? 'citadel-demo' : await idFor(edge, path)
      const headers = path.startsWith('/webhooks') ? signed('', { time: Date.now }) : AS_ADMIN
      const { status } = await edge.ask(written(path, id), { method, headers })

      expect([200, 400], `${method} ${path}`).toContain(status)
    }
  })

  test('has patterns that the names fit which the gateway takes', async () => {
    const { edge, operations } = await documented()
    const patternOf = (id: string, ...path: readonly string[]) => {
      const { schema } = Object(operations.find(({ operationId }) => operationId === id)?.requestBody?.content)[
        'application/json'
      ]
      return path.reduce((node, name) => Object(node).properties[name], schema).pattern ?? ''
    }
    const server = { ...SERVER.server_info, id: 'GPU-1' }

    const [made, registered] = await Promise.all([
      edge.ask('/management/keys', { method: 'POST', headers: AS_ADMIN, body: { name: 'Web shop' } }),
      edge.ask('/orchestration/servers/register', { method: 'POST', headers: AS_ADMIN, body: { server_info: server } }),
    ])

    expect([made.status, registered.status]).toEqual([201, 200])
    expect('Web shop').toMatch(new RegExp(patternOf('createKey', 'name'), 'u'))
    expect('GPU-1').toMatch(new RegExp(patternOf('registerServer', 'server_info', 'id'), 'u'))
  })

  test('has examples that fit their schemas', async () => {
    const { document } = await documented()
    const ajv = new Ajv({ strict: false, validateFormats: false }).addSchema({ ...document, $id: 'document' })

    const examples = examplesIn(document, '')

    expect(examples.length).toBeGreaterThan(500)
    for (const { place, value } of examples) {
      const fits = ajv.getSchema(`document#${place}`)
      expect({ place, fits: fits?.(value), problems: fits?.errors }).toEqual({ place, fits: true, problems: null })
    }
  })

  test('describes every parameter of the support matrix', async () => {
    const { operations, schemas } = await documented()
    const ids = [
      ['chat', 'createChatCompletion'],
      ['completions', 'createCompletion'],
      ['embeddings', 'createEmbedding'],
    ] as const

    for (const [endpoint, id] of ids) {
      const described = operations.find(({ operationId }) => operationId === id)?.requestBody?.content
      const { $ref } = Object(described?.['application/json']).schema
      const { properties } = Object(schemas[$ref.split('/').at(-1)])
      expect(Object.keys(properties)).toEqual(expect.arrayContaining([...OPENAI_PARAMETERS[endpoint]]))
    }
  })

  test('has queries that admit what is taken, and nothing else', async () => {
    const { edge, operations } = await documented()
    const cases = operations.flatMap(({ path, method, parameters = [] }) =>
      parameters.filter(each => each.in === 'query').map(parameter => ({ path, method, ...parameter })),
    )

    const asked = cases.flatMap(({ path, method, name, schema }) => {
      const { good, bad } = method === 'GET' && !path.includes('{') ? samplesOf(name, schema) : NOTHING
      const toCase = (status: number) => (value: unknown) => ({ url: `${path}?${name}=${value}`, status })
      return [...good.map(toCase(200)), ...bad.map(toCase(400))]
    })

    expect(asked.length).toBeGreaterThan(30)
    for (const { url, status } of asked) {
      const answer = await edge.ask(url, { headers: AS_ADMIN })
      expect({ [url]: answer.status }).toEqual({ [url]: status })
    }
  })

  test('says so where a query is refused', async () => {
    const { edge, operations } = await documented()

    for (const { path, method, parameters = [], responses } of operations) {
      if (!parameters.some(({ name }) => name === 'tenant')) continue
      const url = `${written(path, await idFor(edge, path))}?tenant=a/b`
      const { code } = await errorOf(await edge.ask(url, { method, headers: AS_ADMIN, body: {} }))

      expect(responses[400]?.description, `${method} ${path}`).toContain(`\`${code}\``)
    }
  })

  test('says so where a query with an unknown name is refused', async () => {
    const { edge, operations } = await documented()

    for (const { path, method, responses } of operations) {
      const url = `${written(path, 'a')}?frobnicate=1`
      const answer = await edge.ask(url, { method, headers: AS_ADMIN })
      if (answer.status !== 400 || (await errorOf(answer)).param !== 'frobnicate') continue

      expect(responses[400]?.description, `${method} ${path}`).toContain('`invalid_request`')
    }
  })

  test('admits no call without anything to answer, as the gateway does', async () => {
    const { edge, document } = await documented()
    const ajv = new Ajv({ strict: false, validateFormats: false }).addSchema({ ...document, $id: 'document' })
    const calls = [
      ['/v1/chat/completions', 'ChatCompletionRequest', { messages: [] }],
      ['/v1/completions', 'CompletionRequest', { prompt: [] }],
      ['/v1/embeddings', 'EmbeddingRequest', { input: [] }],
    ] as const

    for (const [path, name, body] of calls) {
      const admits = ajv.getSchema(`document#/components/schemas/${name}`)
      const { status } = await edge.ask(path, { method: 'POST', body: { ...body, model: 'citadel-demo' } })
      expect({ path, admits: admits?.(body), status }).toEqual({ path, admits: false, status: 400 })
    }
  })

  test('asks for a body where there has to be one', async () => {
    const { edge, operations } = await documented()

    for (const { method, path, requestBody } of operations.filter(({ requestBody }) => requestBody !== undefined)) {
      const headers = path.startsWith('/webhooks') ? signed('', { time: Date.now }) : AS_ADMIN
      const { status } = await edge.ask(written(path, await idFor(edge, path)), { method, headers })

      expect({ [`${method} ${path}`]: requestBody?.required === true }).toEqual({
        [`${method} ${path}`]: status === 400,
      })
    }
  })

  test('gives examples that are answered', async () => {
    const { edge, operations } = await documented()
    const examples = operations.flatMap(({ path, method, requestBody }) =>
      Object.entries(requestBody?.content['application/json']?.examples ?? {}).map(([name, { value }]) => ({
        name: `${method} ${path} ${name}`,
        asking: {
          method,
          body: value,
          headers: path.startsWith('/webhooks') ? signed(value, { time: Date.now }) : AS_ADMIN,
        },
        path,
      })),
    )

    expect(examples.length).toBeGreaterThanOrEqual(3)
    for (const { name, path, asking } of examples) {
      const id = path.includes('{id}') ? await idFor(edge, path) : ''
      const response = await edge.ask(written(path, id), asking)

      expect([200, 201], name).toContain(response.status)
      expect((await response.text()).length, name).toBeGreaterThan(0)
    }
  })

  test('has no schema that null has to fit and cannot', async () => {
    const { schemas } = await documented()

    const impossible = Object.entries(schemas).flatMap(([name, schema]) => bothNullAndNot(schema, name))

    expect(impossible).toEqual([])
  })

  test('names the headers of the answers', async () => {
    const { edge, operations } = await documented({
      gateway: { demo: true, discover: false, headers: 'full' },
      limits: { per_client: { tokens_per_minute: 1000 } },
      cache: { enabled: true },
    })
    const { ask } = edge
    const body = { model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] }
    const answers = [
      ['createChatCompletion', await ask('/v1/chat/completions', { method: 'POST', body })],
      ['createChatCompletion', await ask('/v1/chat/completions', { method: 'POST', body: { ...body, stream: true } })],
      [
        'createEmbedding',
        await ask('/v1/embeddings', { method: 'POST', body: { model: 'citadel-demo', input: 'Hi' } }),
      ],
      ['listModels', await ask('/v1/models')],
      ['getHealth', await ask('/health')],
    ] as const

    for (const [id, { status, headers }] of answers) {
      const described = operations.find(({ operationId }) => operationId === id)?.responses[status]?.headers ?? {}
      const sent = [...headers.keys()].filter(name => /^(?:x-(?:citadel|ratelimit)-|cache-status)/.test(name))
      expect(sent, id).not.toEqual([])
      expect(Object.keys(described), id).toEqual(expect.arrayContaining(sent))
    }
  })

  test('says what a change is refused for before anybody looks at it', async () => {
    const { edge, operations } = await documented({ service: { max_body: '1kB' } })

    for (const { method, path, responses } of operations.filter(({ method }) => method !== 'GET')) {
      const asking = { method, headers: AS_ADMIN }
      const large = await edge.ask(written(path, 'a'), {
        ...asking,
        headers: { ...AS_ADMIN, 'content-length': '2000' },
        body: 'x'.repeat(2000),
      })
      const foreign = await edge.ask(written(path, 'a'), {
        ...asking,
        headers: { ...AS_ADMIN, origin: 'https://evil.example' },
      })

      for (const refused of [large, foreign]) {
        const { code } = await errorOf(refused)
        expect(responses[refused.status]?.description, `${method} ${path}`).toContain(`\`${code}\``)
      }
    }
  })
})

/** Values that the schema of a parameter admits, and values that it does not. */
function samplesOf(parameter: string, schema: Parameter['schema']): Samples {
  const { enum: names, type, minimum, maximum, format, pattern, anyOf = [] } = schema
  if (parameter === 'tenant') return { good: ['default', ...(anyOf.length > 0 ? ['*'] : [])], bad: ['a/b', ''] }
  if (names !== undefined) return { good: names, bad: ['other', ''] }
  if (type === 'integer') return { good: [minimum, maximum], bad: [Number(minimum) - 1, Number(maximum) + 1, 'all'] }
  if (format === 'date') return { good: ['2026-11-01'], bad: ['2026-11-31', '2026-11-01T09:00:00Z'] }
  if (anyOf.length > 0) return { good: ['2026-11-01', '2026-11-01T09:00:00%2B02:00'], bad: ['2026-11-31', 'soon'] }
  return pattern === undefined ? NOTHING : { good: ['day', 'model,user'], bad: ['month', 'day,'] }
}

const NOTHING: Samples = { good: [], bad: [] }

/** The examples of a document, and the places of the schemas that they have to fit. */
function examplesIn(part: unknown, place: string): { readonly place: string; readonly value: unknown }[] {
  if (typeof part !== 'object' || part === null) return []
  const { schema, examples, example } = part as Readonly<Record<string, unknown>>
  const values = Array.isArray(examples) ? examples : Object.values(Object(examples)).map(each => Object(each).value)
  const own = schema === undefined ? [] : [...values, ...(example === undefined ? [] : [example])]
  const below = Object.entries(part).filter(([name]) => name !== 'examples' && name !== 'example')
  return [
    ...own.map(value => ({ place: Object(schema).$ref?.slice(1) ?? `${place}/schema`, value })),
    ...below.flatMap(([name, each]) => examplesIn(each, `${place}/${encodeURIComponent(name.replaceAll('/', '~1'))}`)),
  ]
}

/** The places of a schema where null is one of the types, beside a reference to something that is never null. */
function bothNullAndNot(schema: unknown, place: string): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const parts = 'allOf' in schema && Array.isArray(schema.allOf) ? schema.allOf : []
  const isImpossible = parts.some(part => '$ref' in part) && parts.some(part => part.type?.includes?.('null') === true)
  const below = Object.entries(schema).flatMap(([name, part]) => bothNullAndNot(part, `${place}.${name}`))
  return isImpossible ? [place, ...below] : below
}
