import { OpenAPIHono } from '@hono/zod-openapi'
import { type Code, ERRORS } from '#core/errors.ts'
import { othersTurn } from '#lib/turn.ts'
import { errorBody } from '#wire/errors.ts'
import type { Access } from '../edge.ts'
import { byStatus, ERROR_GROUPS, ERROR_MEANINGS } from './error-codes.ts'
import { errorHeaders, headerReferences, registerHeaders } from './headers.ts'
import type { Answer, Content, Operation } from './operation.ts'
import { operations } from './operations.ts'
import type { Registry } from './registry.ts'
import { describeRole, registerSecurity, securityOf } from './security.ts'

/** One row of the route table, as far as the reference needs it. */
export interface DocumentedRoute {
  readonly method: string
  /** In the router's style: `/v1/models/:id`. */
  readonly path: string
  readonly role: Access
  readonly operation: string
}

export type OpenapiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>

const METHODS = { get: 'get', post: 'post', put: 'put', patch: 'patch', delete: 'delete' } as const

const EVENT_STREAM = 'text/event-stream'

const TAGS = [
  { name: 'Inference', description: 'Calls that a model answers.' },
  { name: 'Models', description: 'What the gateway offers, and where it is answered.' },
  { name: 'Health', description: 'What monitors and orchestrators read.' },
  { name: 'Orchestration', description: 'Servers that come, go and fail over, and what happens to them.' },
  { name: 'Webhooks', description: 'What other systems tell the gateway.' },
  { name: 'Management', description: 'Keys, the cache, and what was used; always with a key.' },
  { name: 'Service', description: 'The gateway about itself.' },
]

const DESCRIPTION = [
  'One OpenAI-compatible address in front of many model servers.',
  '**Addresses.** Give clients `/v1` at the end of the base URL. Model calls and lists are also served without `/v1`, and every path with and without a slash at its end. There are no redirects.',
  '**Keys.** A key may come as `authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`. With authentication off, which is the default until a key is configured, none is needed and what is sent is ignored. A key that has to sign its requests needs `x-citadel-timestamp` and `x-citadel-signature` beside it, as the guide "Signatures and TLS" tells.',
  '**Errors.** Every error has the same body, and `x-request-id` on every answer names the request in the logs; one that a caller sends stands beside it there.',
].join('\n\n')

/** Builds the OpenAPI 3.1 document of the routes, operation by operation, with turns for others in between: at once it
 * would hold the process up for a tenth of a second or more.
 *
 * @param routes The route table; of several paths of one operation the first is documented, the others are named.
 * @throws Error when a route names an operation that is not described. */
export async function buildOpenapi(
  routes: readonly DocumentedRoute[],
  { version }: { readonly version: string },
): Promise<OpenapiDocument> {
  const documented = new Map<string, DocumentedRoute[]>()
  for (const route of routes) {
    if (!Object.hasOwn(METHODS, route.method.toLowerCase())) continue
    documented.set(route.operation, [...(documented.get(route.operation) ?? []), route])
  }
  const paths: NonNullable<OpenapiDocument['paths']> = {}
  const components: Record<string, object> = {}
  for (const [id, all] of documented) {
    const part = describe(id, all, version)
    // Of one path there may be several operations, and most operations share schemas.
    for (const [path, item] of Object.entries(part.paths ?? {})) paths[path] = { ...paths[path], ...item }
    for (const [kind, named] of Object.entries(part.components ?? {})) {
      components[kind] = { ...components[kind], ...named }
    }
    await othersTurn()
  }
  const document = { ...describe(null, [], version), components, paths }
  describeStreams(document)
  return document
}

/** The document of one operation alone; of none for the id `null`. */
function describe(id: string | null, routes: readonly DocumentedRoute[], version: string): OpenapiDocument {
  // Never served: only its collection of schemas and its generator are used.
  const collector = new OpenAPIHono()
  const registry = collector.openAPIRegistry
  registerHeaders(registry)
  registerSecurity(registry)
  if (id !== null) register(registry, id, routes)
  return collector.getOpenAPI31Document({
    openapi: '3.1.0',
    info: { title: 'Citadel Gateway API', version, description: DESCRIPTION },
    servers: [{ url: '/' }],
    tags: TAGS,
  })
}

/** A stream as a whole is a text. What its events hold stands beside that, in the words of JSON Schema. */
function describeStreams({ paths = {} }: OpenapiDocument): void {
  for (const { post } of Object.values(paths)) {
    const stream: { schema?: object } | undefined = post?.responses?.[200]?.content?.[EVENT_STREAM]
    if (stream?.schema === undefined) continue
    stream.schema = {
      type: 'string',
      description:
        'Server-sent events. `contentSchema` is what the `data` of each event is, but of the last one: `[DONE]`.',
      contentMediaType: EVENT_STREAM,
      contentSchema: stream.schema,
    }
  }
}

function register(registry: Registry, id: string, routes: readonly DocumentedRoute[]): void {
  const [route] = routes
  if (route === undefined) return
  const operation = operations.get(id)
  if (operation === undefined) throw new Error(`The operation ${id} is not described.`)
  registry.registerPath({
    method: METHODS[route.method.toLowerCase() as keyof typeof METHODS],
    path: toTemplate(route.path),
    operationId: id,
    tags: [operation.tag],
    summary: operation.summary,
    description: [operation.description, describeRole(route.role), alsoServedAt(routes)].filter(Boolean).join('\n\n'),
    security: securityOf(route.role),
    request: toRequest(operation),
    responses: { ...answers(operation), ...errors(operation, route) },
    'x-codeSamples': operation.samples,
  })
}

/** Turns `/v1/models/:id{.+}` into `/v1/models/{id}`. */
function toTemplate(path: string): string {
  return path.replace(/:(\w+)(\{[^}]*\})?\??/g, '{$1}')
}

function alsoServedAt(routes: readonly DocumentedRoute[]): string {
  const [first, ...others] = routes.map(route => toTemplate(route.path))
  const twins = new Set(others)
  if (first?.startsWith('/v1/') === true) twins.add(first.slice('/v1'.length))
  return twins.size === 0 ? '' : `Also served at ${[...twins].map(path => `\`${path}\``).join(', ')}.`
}

function toRequest(operation: Operation) {
  const { params, query, headers, body } = operation
  return {
    ...(query && { query }),
    ...(params && { params }),
    ...(headers && { headers }),
    ...(body && {
      body: {
        required: !body.schema.safeParse(undefined).success,
        content: { 'application/json': { schema: body.schema, examples: { ...body.examples } } },
      },
    }),
  }
}

function answers(operation: Operation) {
  return Object.fromEntries(Object.entries(operation.answers).map(([status, answer]) => [status, toAnswer(answer)]))
}

function toAnswer(answer: Answer) {
  return {
    description: answer.description,
    headers: headerReferences(answer.headers ?? []),
    content: Object.fromEntries(answer.content.map(toMedia)),
  }
}

function toMedia({ type, schema, events, examples }: Content) {
  return [type, { schema: events ?? schema, examples: { ...examples } }] as const
}

/** The error responses of an operation; a status that has its own answer keeps it. */
function errors(operation: Operation, { method, role }: DocumentedRoute) {
  const open = securityOf(role).length === 0
  const first = method.toLowerCase() === 'get' ? (['guard'] as const) : (['guard', 'change'] as const)
  const groups = [...first, ...operation.passes.filter(group => !(open && group === 'caller'))]
  const codes: Code[] = [...groups.flatMap(group => [...ERROR_GROUPS[group]]), ...(operation.errors ?? [])]
  const failures = [...byStatus(codes)].filter(([status]) => operation.answers[status] === undefined)
  return Object.fromEntries(failures.map(([status, failed]) => [status, toFailure(status, failed)]))
}

function toFailure(status: number, codes: readonly Code[]) {
  return {
    description: codes.map(code => `\`${code}\`: ${ERROR_MEANINGS[code]}`).join('\n\n'),
    headers: headerReferences(errorHeaders(status)),
    content: {
      'application/json': {
        schema: errorBody,
        examples: Object.fromEntries(codes.map(code => [code, { summary: code, value: toExample(code) }])),
      },
    },
  }
}

function toExample(code: Code) {
  const message = ERROR_MEANINGS[code].replaceAll('`', '')
  return { error: { message, type: ERRORS[code].type, param: null, code } }
}
