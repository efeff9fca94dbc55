import { describe, expect, test } from 'bun:test'
import { readGuides } from '#http/docs/guides.ts'
import { buildOpenapi, type DocumentedRoute } from '#http/docs/openapi.ts'
import { operations } from '#http/docs/operations.ts'
import { createDocs } from '#http/docs/page.ts'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { isObject } from '#lib/json.ts'
import { composeSupport } from '#src/compose/support.ts'

const routes = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
const table: DocumentedRoute[] = routes.flatMap(({ method, path, access, operation }) =>
  operation === null ? [] : [{ method, path, role: access, operation }],
)
const document = await buildOpenapi(table, { version: '1.2.3' })
const docs = createDocs({ version: '1.2.3', support: composeSupport() })

interface DocumentedResponse {
  readonly description?: string
  readonly headers?: Record<string, { readonly $ref?: string }>
  readonly content?: Record<string, { readonly schema?: unknown }>
}

interface DocumentedOperation {
  readonly operationId: string
  readonly description: string
  readonly security: readonly Record<string, readonly string[]>[]
  readonly responses: Readonly<Record<string, DocumentedResponse>>
}

const documented = Object.entries(document.paths ?? {}).flatMap(([path, methods]) =>
  Object.entries(methods as Record<string, DocumentedOperation>).map(([method, operation]) => ({
    path,
    method,
    operation,
  })),
)

describe('the API document', () => {
  test('is OpenAPI 3.1 with every operation once', () => {
    const ids = documented.map(({ operation }) => operation.operationId)

    expect(document.openapi).toBe('3.1.0')
    expect(document.info.version).toBe('1.2.3')
    expect(ids.toSorted()).toEqual([...operations.keys()].toSorted())
  })

  test('documents success and errors of every operation, with the request id on each', () => {
    for (const { operation } of documented) {
      const statuses = Object.keys(operation.responses)

      expect(
        statuses.filter(status => /^2/.test(status)),
        operation.operationId,
      ).toHaveLength(1)
      expect(statuses, operation.operationId).toContain('500')
      for (const response of Object.values(operation.responses)) {
        expect(response.description, operation.operationId).toMatch(/^(?:\p{Lu}|`).+\.$/su)
        expect(Object.keys(response.headers ?? {})).toContain('x-request-id')
      }
    }
  })

  test('documents what can go wrong with a model call', () => {
    const { responses } = operationOf('createChatCompletion')

    expect(Object.keys(responses)).toEqual(
      expect.arrayContaining('400 401 403 404 408 413 415 429 500 502 503 504'.split(' ')),
    )
    expect(Object.keys(responses['429']?.headers ?? {})).toEqual(
      expect.arrayContaining(['retry-after', 'retry-after-ms', 'x-ratelimit-reset-requests']),
    )
  })

  test('says of every list what is in it, which generators of clients ask for', () => {
    const lists: Record<string, unknown>[] = []
    JSON.stringify(document, (_, value) => {
      if (isObject(value) && value.type === 'array') lists.push(value)
      return value
    })

    expect(lists.length).toBeGreaterThan(50)
    expect(lists.filter(({ items }) => !isObject(items))).toEqual([])
  })

  test('refers only to components that it contains', () => {
    const pointers = [...JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, pointer = '']) => pointer)
    const found = (pointer: string) =>
      pointer.split('/').reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), document)

    expect(pointers).toContain('components/headers/x-request-id')
    expect(pointers.filter(pointer => Object.keys(found(pointer) ?? {}).length === 0)).toEqual([])
  })

  test('gives examples that fit their schemas', () => {
    for (const [id, { body, answers }] of operations) {
      const contents = Object.values(answers).flatMap(({ content }) => content)
      const parts = [...(body ? [{ type: 'application/json', ...body }] : []), ...contents]
      for (const { type, schema, examples } of parts) {
        if (type === 'text/event-stream') continue
        for (const { value } of Object.values(examples)) expect(schema.safeParse(value).error, id).toBeUndefined()
      }
    }
  })

  test('writes path parameters as templates and names the twins', () => {
    const { description } = operationOf('retrieveModel')

    expect(documented.map(({ path }) => path)).toContain('/v1/models/{id}')
    expect(description).toContain('`/models/{id}`')
  })

  test('asks for no key on the health page, and for an optional one on model calls', () => {
    expect(operationOf('getHealth').security).toEqual([])
    expect(operationOf('createChatCompletion').security).toContainEqual({ bearer: [] })
    expect(operationOf('createChatCompletion').security).toContainEqual({})
  })

  test('lets others have their turn between two operations', async () => {
    let turns = 0
    const count = () => {
      turns++
      immediate = setImmediate(count)
    }
    let immediate = setImmediate(count)

    await buildOpenapi(table, { version: '1' })
    clearImmediate(immediate)

    expect(turns).toBeGreaterThanOrEqual(new Set(table.map(({ operation }) => operation)).size)
  })

  test('refuses a route that is not described', async () => {
    const route = { method: 'GET', path: '/new', role: 'anyone', operation: 'getNew' } as const

    await expect(buildOpenapi([route], { version: '1' })).rejects.toThrow('getNew')
  })
})

describe('the documentation site', () => {
  test('serves every page with a strict policy', async () => {
    for (const slug of ['', ...docs.slugs]) {
      const page = await docs.page(slug)

      expect(page?.headers['content-type'], slug).toBe('text/html; charset=utf-8')
      expect(page?.headers['content-security-policy']).toContain(
        "default-src 'none'; script-src 'self'; style-src 'self'",
      )
    }
  })

  test('loads nothing from elsewhere and runs nothing inline', async () => {
    for (const slug of docs.slugs) {
      const html = (await docs.page(slug))?.body ?? ''
      const loaded = [...html.matchAll(/<(?:script|link|img|iframe)\b[^>]*(?:src|href)="([^"]*)"/g)].map(
        ([, url]) => url,
      )

      expect(loaded.length, slug).toBeGreaterThan(0)
      for (const url of loaded) expect(url).toStartWith('/docs/assets/')
      expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\sstyle="|\son[a-z]+="/)
    }
  })

  test('links only to pages and sections that exist', async () => {
    const pages = new Map<string, string>()
    for (const slug of docs.slugs) pages.set(`/docs/${slug}`, (await docs.page(slug))?.body ?? '')
    pages.set('/docs', pages.get(`/docs/${docs.slugs[0]}`) ?? '')
    const served = new Set(routes.map(route => route.path))

    for (const [from, html] of pages) {
      for (const [, href = ''] of html.matchAll(/<a\b[^>]*href="([^"]*)"/g)) {
        const [path = '', anchor] = href.startsWith('#') ? [from, href.slice(1)] : href.split('#')
        expect(pages.has(path) || served.has(path), `${from} → ${href}`).toBe(true)
        if (anchor) expect(pages.get(path), `${from} → ${href}`).toContain(`id="${anchor}"`)
      }
    }
  })

  test('lists its guides below headings, each at a place of its own', async () => {
    const html = (await docs.page('routing'))?.body ?? ''
    const [, nav = ''] = /<nav id="nav"[^>]*>([\s\S]*?)<\/nav>/.exec(html) ?? []
    const places = readGuides().map(({ group, order }) => `${group} ${order}`)

    expect([...nav.matchAll(/<h2>([^<]*)/g)].map(([, heading]) => heading)).toEqual(
      'Start|Use|Servers and routing|Keys, limits, money|Operate|Scale|Reference'.split('|'),
    )
    expect([...nav.matchAll(/href="\/docs\/([^"]*)/g)].map(([, slug]) => slug)).toEqual([...docs.slugs])
    expect(new Set(places).size).toBe(places.length)
    expect(html).toMatch(/rel="next" href="\/docs\/failures"/)
  })

  test('serves what the pages load, each with its type', async () => {
    const html = (await docs.page('reference'))?.body ?? ''
    const names = [...html.matchAll(/"\/docs\/assets\/([^"?]+)/g)].map(match => match[1] ?? '')

    expect(names).toContain('swagger-ui-bundle.js')
    for (const name of names) {
      const asset = await docs.asset(name)
      const type = name.endsWith('.js') ? 'text/javascript' : name.endsWith('.css') ? 'text/css' : 'image/svg+xml'
      expect(asset?.headers['content-type'], name).toStartWith(type)
      expect(asset?.body.byteLength).toBeGreaterThan(100)
    }
  })

  test('knows no other pages and files', async () => {
    expect(await docs.page('nowhere')).toBeNull()
    expect(await docs.page('../guides/routing')).toBeNull()
    expect(await docs.asset('swagger-ui.js')).toBeNull()
    expect(await docs.asset('../docs.css')).toBeNull()
    expect(await docs.asset('constructor')).toBeNull()
  })

  test('makes the index for the search once, however often it is asked for', async () => {
    const [first, second] = [await docs.asset('search.json'), await docs.asset('search.json')]

    expect(second?.body).toBe(first?.body)
  })

  test('has an index of all guides for the search', async () => {
    const file = await docs.asset('search.json')
    const entries: { readonly path: string; readonly text: string }[] = JSON.parse(new TextDecoder().decode(file?.body))

    expect(entries.map(({ path }) => path)).toContain('/docs/routing#strategies')
    expect(entries.find(({ path }) => path === '/docs/routing#strategies')?.text).toContain('least_busy')
  })
})

function operationOf(id: string): DocumentedOperation {
  const found = documented.find(({ operation }) => operation.operationId === id)
  if (found === undefined) throw new Error(`no operation ${id}`)
  return found.operation
}
