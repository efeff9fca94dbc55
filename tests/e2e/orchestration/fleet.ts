import { startGateway, type TestGateway, type Tree } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { startUpstream, type Upstream } from '#tests/support/upstream.ts'

export const ADMIN = 'sk-key-of-an-operator'
const WAIT_MS = 10_000
const LOOK_MS = 10

/** A gateway with which servers of this machine may register, and which probes often. */
export function startFleet(more: Tree = {}, overrides: Parameters<typeof startGateway>[1] = {}): Promise<TestGateway> {
  const { orchestration, ...rest } = more
  return startGateway(
    {
      auth: { mode: 'none', admin_keys: [ADMIN] },
      load_balancer: { algorithm: 'round_robin', health_check_interval: '200ms', recovery_threshold: 2 },
      ...rest,
      orchestration: { allowed_addresses: ['127.0.0.0/8', '::1'], ...(orchestration as object) },
    },
    overrides,
  )
}

/** A model server that lists `test-model` and answers it; its script may look at calls first. */
export function startMember(): Promise<Upstream> {
  const answer = openAiScript()
  return startUpstream(request => {
    if (request.path === '/health') return typeof answer === 'function' ? answer(listing(request)) : answer
    return typeof answer === 'function' ? answer(request) : answer
  })
}

function listing<T extends { readonly path: string }>(request: T): T {
  return Object.create(request, { path: { value: '/v1/models' } })
}

/** What the management answers, as far as these tests look. */
interface Answer {
  readonly server_id?: string
  readonly removed?: boolean
  readonly in_flight?: number
  readonly status?: string
  readonly health_status?: string
  readonly models?: readonly string[]
  readonly servers?: readonly { readonly server_id: string }[]
  readonly load_metrics?: object
  readonly error?: { readonly code: string; readonly message: string }
}

/** Asks the management of a gateway. */
export async function manage(
  url: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ readonly status: number; readonly body: Answer }> {
  const response = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
    body: body === undefined ? null : JSON.stringify(body),
  })
  return { status: response.status, body: (await response.json()) as Answer }
}

/** The body with which a server registers. */
export function registrationOf(id: string, { port }: Pick<Upstream, 'port'>, more: object = {}): object {
  return { server_info: { id, hostname: '127.0.0.1', port, ...more } }
}

/** Registers a server. */
export function register(url: string, id: string, upstream: Pick<Upstream, 'port'>, more: object = {}) {
  return manage(url, 'POST', '/orchestration/servers/register', registrationOf(id, upstream, more))
}

/** Which server answers a call of this model. */
export async function answeredBy(url: string, model = 'test-model'): Promise<string | null> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    body: JSON.stringify({ model, messages: [{ role: 'user', content: 'Hi' }] }),
  })
  await response.text()
  return response.status === 200 ? response.headers.get('x-citadel-server') : null
}

/** Resolves when something is the case.
 *
 * @param withinMs Default ten seconds.
 * @throws Error when it is not by then. */
export async function until(
  what: string,
  isSo: () => boolean | Promise<boolean>,
  withinMs: number = WAIT_MS,
): Promise<void> {
  const end = performance.now() + withinMs
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`in vain: ${what}`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}

/** An event as the stream tells it. */
export interface ReadEvent {
  readonly id: string
  readonly type: string
  readonly at: string
  readonly server: string | null
  readonly data: Readonly<Record<string, unknown>>
}

/** What a reader of events has read so far. */
export interface Reader {
  readonly events: readonly ReadEvent[]
  has(type: string, server: string): boolean
  /** Resolves when the gateway has ended the stream. */
  readonly ended: Promise<void>
  stop(): Promise<void>
}

/** Follows the events of a gateway. */
export async function readEvents(url: string, lastId?: string, query = ''): Promise<Reader> {
  const response = await fetch(`${url}/orchestration/events${query}`, {
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
  })
  if (response.body === null) throw new Error('the answer has no body')
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const events: Reader['events'][number][] = []
  let text = ''
  const reading = (async () => {
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      text += value
      const blocks = text.split('\n\n')
      text = blocks.pop() ?? ''
      for (const block of blocks) {
        const data = /^data: (.*)$/m.exec(block)?.[1]
        if (data !== undefined) events.push(JSON.parse(data))
      }
    }
  })().catch(() => {})
  return {
    events,
    ended: reading,
    has: (type, server) => events.some(event => event.type === type && event.server === server),
    async stop() {
      await reader.cancel().catch(() => {})
      await reading
    },
  }
}
