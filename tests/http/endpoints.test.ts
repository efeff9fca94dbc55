import { describe, expect, test } from 'bun:test'
import { operations } from '#http/docs/operations.ts'
import { createSseParser } from '#lib/sse.ts'
import { ADMINISTERED, AS_ADMIN, type Edge, edgeOf, idFor, signed } from './edge.ts'

/** The paths on which an organisation's applications, monitors and servers rely, each with its operation. */
const RELIED_ON = [
  ['POST', '/v1/chat/completions', 'createChatCompletion'],
  ['POST', '/v1/completions', 'createCompletion'],
  ['POST', '/v1/embeddings', 'createEmbedding'],
  ['GET', '/v1/models', 'listModels'],
  ['GET', '/health', 'getHealth'],
  ['GET', '/health/', 'getHealth'],
  ['GET', '/health/detailed', 'getHealthDetailed'],
  ['GET', '/health/enterprise', 'getEnterpriseHealth'],
  ['GET', '/v1/health', 'getHealth'],
  ['GET', '/metrics', 'getMetrics'],
  ['GET', '/v1/metrics', 'getMetrics'],
  ['GET', '/models/status', 'getModelsStatus'],
  ['GET', '/v1/providers', 'listProviders'],
  ['POST', '/orchestration/servers/register', 'registerServer'],
  ['GET', '/orchestration/servers/list', 'listServers'],
  ['GET', '/orchestration/servers/{id}/health', 'getServerHealth'],
  ['POST', '/orchestration/workload/distribute', 'distributeWorkload'],
  ['POST', '/orchestration/failover/{id}', 'drainServer'],
  ['GET', '/management/models/list', 'listManagedModels'],
  ['GET', '/management/servers/status', 'getServersStatus'],
  ['POST', '/management/cache/clear', 'clearCache'],
  ['GET', '/management/stats', 'getStats'],
  ['POST', '/webhooks/alertmanager', 'takeAlerts'],
  ['POST', '/webhooks/server_status', 'takeServerStatus'],
  ['POST', '/webhooks/{type}', 'takeWebhook'],
] as const

interface Media {
  readonly schema?: Readonly<Record<string, unknown>>
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}

interface Described {
  readonly operationId: string
  readonly description: string
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

async function documented(edge: Edge): Promise<Document> {
  return (await (await edge.ask('/openapi.json')).json()) as Document
}

/** Asks an operation as its first example says. */
async function askAs(edge: Edge, method: string, path: string, operation: string): Promise<Response> {
  const body = Object.values(operations.get(operation)?.body?.examples ?? {})[0]?.value
  const id = path.includes('{id}') ? await idFor(edge, path) : ''
  const headers = path.startsWith('/webhooks') ? signed(body, { time: Date.now }) : AS_ADMIN
  return edge.ask(path.replace('{id}', id).replace('{type}', 'deploy'), { method, headers, body })
}

describe('what is relied on', () => {
  test.each(RELIED_ON)('%s %s answers as documented', async (method, path, operation) => {
    const edge = await edgeOf(ADMINISTERED, { clock: undefined })

    const response = await askAs(edge, method, path, operation)

    const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
    const content = operations.get(operation)?.answers[200]?.content.find(each => each.type === type)
    expect([response.status, content?.type]).toEqual([200, type])
    const answer = type === 'application/json' ? await response.json() : await response.text()
    expect(content?.schema.safeParse(answer).error).toBeUndefined()
    expect(answer).not.toEqual('')
  })

  test('all of it is in the document, by its path or named beside it', async () => {
    const { paths } = await documented(await edgeOf(ADMINISTERED))

    for (const [method, path, operation] of RELIED_ON) {
      const described = Object.values(paths).flatMap(methods => methods[method.toLowerCase()] ?? [])
      const own = described.find(each => each.operationId === operation)
      const named = paths[path.replace(/\/$/, '')]?.[method.toLowerCase()] === own || own?.description.includes(path)
      expect([named, own?.operationId], `${method} ${path}`).toEqual([true, operation])
    }
  })
})

describe('every answer in the document', () => {
  test('has a schema that says something', async () => {
    const { paths, components } = await documented(await edgeOf(ADMINISTERED))
    const all = Object.entries(paths).flatMap(([path, methods]) =>
      Object.values(methods).flatMap(({ responses }) =>
        Object.entries(responses).map(([status, { content }]) => ({ name: `${path} ${status}`, content })),
      ),
    )

    expect(all.length).toBeGreaterThan(200)
    for (const { name, content } of all) {
      const media = Object.values(content ?? {})
      expect(media.length, name).toBeGreaterThan(0)
      for (const { schema = {} } of media) {
        expect(Object.keys(schema).length, name).toBeGreaterThan(0)
        const { $ref } = schema
        if (typeof $ref === 'string') expect(components.schemas, name).toHaveProperty($ref.split('/').at(-1) ?? '')
      }
    }
  })

  test('has examples, and they are what its schema says', () => {
    for (const [id, { answers }] of operations) {
      for (const { content } of Object.values(answers)) {
        for (const { schema, events, examples } of content) {
          expect(Object.keys(examples).length, id).toBeGreaterThan(0)
          for (const { value } of Object.values(examples)) {
            expect(schema.safeParse(value).error, id).toBeUndefined()
            if (events === undefined) continue
            const data = createSseParser().push(String(value))
            expect(data.pop(), id).toMatchObject({ data: '[DONE]' })
            for (const event of data) expect(events.safeParse(JSON.parse(event.data)).error, id).toBeUndefined()
          }
        }
      }
    }
  })
})
