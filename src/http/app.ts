import { Hono, type NotFoundHandler } from 'hono'
import { GatewayError, toGatewayError } from '#core/errors.ts'
import { createRecord, type RequestRecord } from '#core/record.ts'
import { createScope, type Scope } from '#core/scope.ts'
import { createTurnEnd } from '#lib/turn.ts'
import { chain } from './chain.ts'
import { errorResponse, unknownPath } from './errors.ts'
import type { Connection, Env, Exchange, GatewayContext, Handler, Middleware } from './exchange.ts'
import { admit } from './middleware/admit.ts'
import { authenticate } from './middleware/authenticate.ts'
import { bodyLimit } from './middleware/body-limit.ts'
import { cors } from './middleware/cors.ts'
import { noteEnd, noteStart } from './middleware/observe.ts'
import { rateLimit } from './middleware/rate-limit.ts'
import { securityHeaders } from './middleware/security-headers.ts'
import { signature } from './middleware/signature.ts'
import { createRoutes, type Route } from './routes.ts'
import type { Services } from './services.ts'

export type GatewayFetch = (request: Request, connection?: Connection) => Promise<Response>

/** Creates the one handler of the gateway. What every request passes, in this order: */
export function createApp(services: Services): GatewayFetch {
  const { clock, journal, limiter } = services
  const everyRequest: readonly Middleware[] = [securityHeaders(), admit(), cors(), bodyLimit()]
  const ofRoute = (route: Route): readonly Middleware[] => [
    ...everyRequest,
    authenticate(route.access),
    signature(clock, services.load.bodies),
    ...(route.limited ? [rateLimit(limiter, journal, clock)] : []),
  ]

  const app = new Hono<Env>()
  const direct = new Map<string, Map<string, Handler>>()
  const table = createRoutes(services)
  const paths = byPath(table)
  for (const [path, routes] of paths) {
    const handlers = new Map<string, Handler>()
    if (!path.includes(':')) direct.set(path, handlers)
    for (const route of routes) {
      const handler = named(path, purposeOf(route), chain(ofRoute(route), route.handler))
      app.on(route.method, path, handler)
      handlers.set(route.method, handler)
    }
  }
  const methodsOf = createMethodFinder(paths)
  app.notFound(chain(everyRequest, c => otherMethod(c, methodsOf(c.req.path))) as NotFoundHandler<Env>)
  app.onError((thrown, c) => errorResponse(c.env, toGatewayError(thrown)))

  const answerAtTurnEnd = createTurnEnd<Answered>(answers => {
    for (const { exchange } of answers) noteEnd(exchange, services)
    for (const { response, waiting } of answers) waiting.resolve(response)
  })

  const startAtTurnEnd = createTurnEnd<Arrival>(arrivals => {
    for (const arrival of arrivals) serve(arrival).catch(arrival.waiting.reject)
  })

  /** Hono takes what has parameters or no route; for the others a look-up is all that it would add. */
  function route(exchange: Exchange): Response | Promise<Response> {
    const { method, path } = exchange.record
    const handler = direct.get(path)?.get(method)
    if (handler === undefined) return app.fetch(exchange.request, exchange)
    return handler({ env: exchange, req: { path, param: noParameter } })
  }

  async function serve({ request, connection, waiting }: Arrival): Promise<void> {
    const exchange = open(services, request, connection)
    noteStart(exchange, services)
    let response: Response
    try {
      response = await route(exchange)
    } catch (thrown) {
      response = await errorResponse(exchange, toGatewayError(thrown))
    }
    const { record } = exchange
    record.status = response.status
    if (!services.staying()) response.headers.set('connection', 'close')
    if (exchange.streaming) waiting.resolve(response)
    else if (record.dialledAt > 0) answerAtTurnEnd({ exchange, response, waiting })
    else {
      // Who has waited for no server is answered at once: the runtime forgets requests that came behind one that is not.
      noteEnd(exchange, services)
      waiting.resolve(response)
    }
  }

  return (request, connection = unknownConnection(request)) => {
    const waiting = Promise.withResolvers<Response>()
    const arrival = { request, connection, waiting }
    // Model calls begin together, once all that has come in this turn is read.
    if (request.method === 'POST') startAtTurnEnd(arrival)
    else serve(arrival).catch(waiting.reject)
    return waiting.promise
  }
}

/** A request that has come, and who waits for its answer. */
interface Arrival {
  readonly request: Request
  readonly connection: Connection
  readonly waiting: PromiseWithResolvers<Response>
}

interface Answered {
  readonly exchange: Exchange
  readonly response: Response
  readonly waiting: Arrival['waiting']
}

function noParameter(): undefined {}

function open({ clock, edge, newId }: Services, request: Request, connection: Connection): Exchange {
  const startedAt = clock.time()
  const id = newId(startedAt)
  const record = createRecord({
    id,
    startedAt,
    startedNow: clock.now(),
    method: request.method,
    path: pathOf(request.url),
    address: connection.address,
  })
  record.callerRequestId = request.headers.get('x-request-id')
  return {
    request,
    connection,
    record,
    edge: edge(),
    scope: requestScope(createScope(clock), connection),
    headers: { 'x-request-id': id },
    caller: null,
    text: null,
    idleTimeoutDisabled: false,
    held: null,
    streaming: false,
    place: -1,
  }
}

/** Ends the scope when the client leaves. */
function requestScope(scope: Scope, connection: Connection): Scope {
  connection.onLeave(() => {
    scope.cancel(new GatewayError('client_closed_request', 'The client closed the request.'))
  })
  return scope
}

/** The connection of a request that was made in code and never was on a socket. */
function unknownConnection({ signal }: Request): Connection {
  return {
    address: '',
    idle() {},
    onLeave: leave => signal.addEventListener('abort', leave, { once: true }),
    done() {},
  }
}

/** The routes of each path in all the forms in which it is served. */
function byPath(table: readonly Route[]): Map<string, Route[]> {
  const paths = new Map<string, Route[]>()
  for (const route of table) {
    for (const path of spellings(route.path)) {
      const routes = paths.get(path)
      if (routes === undefined) paths.set(path, [route])
      else if (!routes.some(other => other.method === route.method)) routes.push(route)
    }
  }
  // What has a parameter comes last, so that it never takes a path that has a route of its own.
  return new Map([...paths].sort(([a], [b]) => Number(a.includes(':')) - Number(b.includes(':'))))
}

function spellings(path: string): string[] {
  const twins = path.startsWith('/v1/') ? [path, path.slice(3)] : [path]
  return twins.flatMap(twin => (twin === '/' || twin.endsWith('{.+}') ? [twin] : [twin, `${twin}/`]))
}

/** What a route is for; heartbeats and rehearsals change nothing that anybody has to answer for. */
function purposeOf({ method, access, limited, quiet }: Route): RequestRecord['purpose'] {
  if (limited) return 'call'
  const administers = access === 'operator' || access === 'admin' || access === 'signed'
  return administers && method !== 'GET' && !quiet ? 'administration' : 'other'
}

function named(path: string, purpose: RequestRecord['purpose'], handler: Handler): Handler {
  return c => {
    const { record } = c.env
    record.route = path
    record.purpose = purpose
    return handler(c)
  }
}

/** Answers a request that no route takes: with the methods of its path, if there are any. */
function otherMethod(c: GatewayContext, methods: readonly string[]): Response {
  const { request, headers } = c.env
  if (methods.length === 0) throw unknownPath(c.req.path)
  const allow = methods.join(', ')
  if (request.method === 'OPTIONS') return new Response(null, { status: 204, headers: { ...headers, allow } })
  throw new GatewayError('method_not_allowed', `This path takes ${allow}, not ${request.method}.`, {
    headers: { allow },
  })
}

/** Finds the methods that a path takes; only for requests that no route took, so that the others have one match. */
function createMethodFinder(paths: ReadonlyMap<string, readonly Route[]>): (path: string) => readonly string[] {
  const patterns = [...paths].map(([path, routes]) => ({
    pattern: new RegExp(`^${path.replace(/:\w+\{\.\+\}/g, '.+').replace(/:\w+/g, '[^/]+')}$`),
    methods: [...routes.flatMap(({ method }) => (method === 'GET' ? ['GET', 'HEAD'] : [method])), 'OPTIONS'],
  }))
  return path => [...new Set(patterns.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))]
}

function pathOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('://') + 3)
  if (start < 0) return '/'
  const end = url.indexOf('?', start)
  return end < 0 ? url.slice(start) : url.slice(start, end)
}
