import type { ConfigInput } from '#config/schema.ts'
import { signWebhook } from '#lib/standard-webhooks.ts'
import { configFrom, createGateway, type Gateway, type Overrides } from '#src/index.ts'
import { type FakeClock, fakeClock, settled } from '#tests/support/clock.ts'
import { connectionFrom } from '../support/connection.ts'

/** What a test says of one request; the body is sent as JSON. */
export interface Asking {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  /** The address of the peer. */
  readonly from?: string
}

/** A gateway that is asked within the process, without a socket. */
export interface Edge {
  readonly gateway: Gateway
  readonly clock: FakeClock
  ask(path: string, asking?: Asking): Promise<Response>
  /** Asks the demonstration model, as `from` or with a key. */
  chat(asking?: Asking): Promise<Response>
  /** Lets time pass second by second, so that what waits on promises between timers has its turn. */
  pass(ms: number): Promise<void>
  /** Every log line so far; the log writes them all when the gateway closes. */
  log(): Promise<string[]>
}

/** A key that opens everything where `ADMINISTERED` is the configuration. */
export const ADMIN_KEY = 'sk-key-of-an-administrator'
export const WEBHOOK_SECRET = 'a secret of the webhooks'
/** A gateway that anybody may call and one may manage. */
export const ADMINISTERED: ConfigInput = {
  auth: { mode: 'none', admin_keys: [ADMIN_KEY] },
  orchestration: { allowed_addresses: ['10.0.0.0/8'] },
  webhooks: { secrets: { alertmanager: WEBHOOK_SECRET, server_status: WEBHOOK_SECRET, deploy: WEBHOOK_SECRET } },
}
export const AS_ADMIN = { authorization: `Bearer ${ADMIN_KEY}` }

/** Makes a key.
 *
 * @returns Its id and the key itself. */
export async function makeKey(edge: Edge, body: object = {}, query = ''): Promise<{ id: string; key: string }> {
  const made = await edge.ask(`/management/keys${query}`, {
    method: 'POST',
    headers: AS_ADMIN,
    body: { name: 'made', ...body },
  })
  return (await made.json()) as { id: string; key: string }
}

/** A server that may register where `ADMINISTERED` is the configuration. */
export const SERVER = { server_info: { id: 'llm-02', hostname: '10.0.0.34', port: 11_434, models: ['m'] } }

/** The headers of a signed message; each with an id of its own. */
export function signed(body: unknown, clock: { time(): number }, id: string = crypto.randomUUID()) {
  const seconds = Math.floor(clock.time() / 1000)
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  return {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signWebhook(WEBHOOK_SECRET, { id, seconds, body: text }),
  }
}

/** What stands for `:id` in a path: the id of a key, of a registered server, or of a request that was answered. */
export async function idFor(edge: Edge, path: string): Promise<string> {
  if (path.startsWith('/management/keys')) return (await makeKey(edge)).id
  if (!path.startsWith('/orchestration')) return (await edge.chat()).headers.get('x-request-id') ?? ''
  await edge.ask('/orchestration/servers/register', { method: 'POST', headers: AS_ADMIN, body: SERVER })
  return SERVER.server_info.id
}

const QUESTION = { model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] }

/** Creates a gateway with the demonstration model, a fake clock, and this configuration besides. */
export async function edgeOf(input: ConfigInput = {}, overrides: Overrides = {}): Promise<Edge> {
  const clock = fakeClock()
  let written = ''
  const gateway = createGateway(configFrom({ gateway: { demo: true, discover: false }, ...input }), {
    clock,
    random: () => 0.5,
    reload: async () => ({ warnings: [], restart: [] }),
    write: text => {
      written += text
    },
    ...overrides,
  })
  await gateway.found
  const ask = (path: string, { method = 'GET', headers = {}, body, from = '203.0.113.7' }: Asking = {}) => {
    const request = new Request(`http://localhost:8000${path}`, {
      method,
      headers: { ...headers },
      body: body === undefined ? null : typeof body === 'string' ? body : JSON.stringify(body),
    })
    return gateway.fetch(request, connectionFrom(from))
  }
  return {
    gateway,
    clock,
    ask,
    chat: asking => ask('/v1/chat/completions', { method: 'POST', body: QUESTION, ...asking }),
    async pass(ms) {
      for (let left = ms; left > 0; left -= 1000) {
        clock.advance(Math.min(left, 1000))
        await settled()
      }
    },
    async log() {
      await gateway.close()
      return written.split('\n').filter(line => line !== '')
    },
  }
}

/** The error that an answer carries. */
export async function errorOf(response: Response): Promise<Record<string, unknown>> {
  const body = (await response.json()) as { readonly error: Record<string, unknown> }
  return body.error
}
