import { describe, expect, test } from 'bun:test'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { ADMINISTERED, AS_ADMIN, edgeOf, idFor, signed } from './edge.ts'

interface Described {
  readonly operationId: string
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly examples?: Readonly<Record<string, { value: unknown }>> }>>
  }
}

const table = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)

/** A path as a client writes it. */
function written(path: string, id: string): string {
  return path.replace('{id}', id).replace('{type}', 'deploy')
}

async function documented() {
  const edge = await edgeOf(ADMINISTERED, { clock: undefined })
  const document = (await (await edge.ask('/openapi.json')).json()) as {
    readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
  }
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({ method: method.toUpperCase(), path, ...described })),
  )
  return { edge, operations }
}

describe('the document that is served', () => {
  test('has the operations of the table of routes, and no others', async () => {
    const { operations } = await documented()

    const inTable = table.flatMap(({ operation, method }) => (operation === null ? [] : [`${method} ${operation}`]))
    expect(operations.map(({ method, operationId }) => `${method} ${operationId}`).toSorted()).toEqual(
      [...new Set(inTable)].toSorted(),
    )
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
})
