import { GatewayError } from '#core/errors.ts'
import type { Docs } from '../docs/page.ts'
import { noteError } from '../errors.ts'
import type { Handler } from '../exchange.ts'
import { file, json, varyBy } from '../reply.ts'
import type { Route } from '../routes.ts'
import type { Services } from '../services.ts'

/** `GET /openapi.json`: made on first use from the table of routes that the gateway serves. */
export function openapiDocument(routes: () => readonly Route[], services: Services): Handler {
  let document: Promise<string> | null = null
  const build = async () => {
    const { buildOpenapi } = await import('../docs/openapi.ts')
    const documented = routes().flatMap(({ operation, method, path, access }) =>
      operation === null ? [] : [{ method, path, role: access, operation }],
    )
    return JSON.stringify(await buildOpenapi(documented, { version: services.edge().version }))
  }
  return async c => {
    document ??= build()
    return json(c.env, await document)
  }
}

/** `GET /schema.json`: the JSON Schema of the configuration. */
export function schemaDocument(services: Services): Handler {
  let document: Promise<unknown> | null = null
  return async c => {
    document ??= services.configSchema()
    return json(c.env, await document)
  }
}

const ASSETS = 'assets/'

/** `GET /docs`, its pages, and what they load below `/docs/assets`: everything comes from this origin. */
export function docsPage(services: Services): Handler {
  const docs = lazyDocs(services)
  return async c => {
    const name = (c.req.param('page') ?? '').replace(/\/$/, '')
    const found = name.startsWith(ASSETS)
      ? await (await docs()).asset(name.slice(ASSETS.length))
      : await (await docs()).page(name)
    if (found !== null) return file(c.env, found)
    const missing = name.slice(0, 100)
    const error = new GatewayError('not_found', `There is no page at /docs/${missing}; /docs lists them all.`)
    varyBy(c.env, 'Accept')
    if (!acceptsHtml(c.env.request)) throw error
    noteError(c.env, error)
    return file(c.env, (await docs()).missing(missing), 404)
  }
}

/** Whether the client asks for HTML, as browsers do and API clients do not. */
function acceptsHtml({ headers }: Request): boolean {
  return headers.get('accept')?.includes('text/html') ?? false
}

/** `GET /`: the documentation for a browser, a few lines of text for all others. */
export function root(services: Services): Handler {
  const docs = lazyDocs(services)
  return async c => {
    varyBy(c.env, 'Accept')
    if (acceptsHtml(c.env.request)) {
      const page = await (await docs()).page('')
      if (page !== null) return file(c.env, page)
    }
    const { serviceName, version } = services.edge()
    return json(c.env, {
      gateway: serviceName,
      version,
      docs: '/docs',
      api: '/v1',
      openapi: '/openapi.json',
      health: '/health',
    })
  }
}

function lazyDocs(services: Services): () => Promise<Docs> {
  let docs: Promise<Docs> | null = null
  return () => {
    docs ??= import('../docs/page.ts').then(({ createDocs }) =>
      createDocs({ version: services.edge().version, support: services.support() }),
    )
    return docs
  }
}
