import { start } from '#tests/e2e/child.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { startPostgres } from '#tests/support/postgres.ts'
import { startRedis } from '#tests/support/redis.ts'
import {
  type Gate,
  gate,
  hang,
  json,
  pause,
  type Script,
  sse,
  startUpstream,
  type Upstream,
} from '#tests/support/upstream.ts'
import { ADMIN, until } from './fleet.ts'

/** A scripted model server that can be spoiled, killed and brought back at the same address. */
export interface Member {
  readonly id: string
  readonly port: number
  /** How it answers probes and calls. */
  mood: 'well' | 'slow' | 'hangs'
  /** Where streams wait that were asked to, behind their first text. */
  held: Gate
  /** Model calls so far. */
  calls: number
  kill(): Promise<void>
  revive(): Promise<void>
}

/** A webhook's receiver: what it has taken, and what it has refused. */
export interface Hook {
  readonly url: string
  readonly taken: readonly {
    readonly id: string
    readonly body: string
    readonly headers: Upstream['requests'][0]['headers']
  }[]
  readonly refused: number
}

/** Gateways in processes of their own over one Postgres and one Redis. */
export interface World {
  readonly gateways: readonly GatewayProcess[]
  readonly hook: Hook
  [Symbol.asyncDispose](): Promise<void>
}

/** A gateway in a process of its own. */
export interface GatewayProcess {
  /** Changes when it is started again. */
  readonly url: string
  kill(): Promise<void>
  /** Resolves when it is ready for calls, as a balancer in front of it would wait for. */
  start(): Promise<void>
}

/** The probes' rhythm in these tests, in milliseconds; slow is what takes longer than the first threshold. */
export const PROBE = { every: 500, timeout: 2000, slow: 700, failures: 3 } as const
/** What every server answers, a delta each, and what a prompt says whose stream is to wait. */
export const DELTAS = ['one ', 'two ', 'three'] as const
export const HOLD = 'hold this stream'
export const SECRET = `whsec_${Buffer.from('a secret of the receiver').toString('base64')}`
const SLOW_MS = 1000
/** The first messages are refused, so that a second try is seen. */
const REFUSED = 2

/** Starts it all. */
export async function startWorld(count: number): Promise<World> {
  const [postgres, redis, hook] = await Promise.all([startPostgres(), startRedis(), startHook()])
  const configuration = configurationOf(await postgres.database(), redis.url, hook.url)
  const first = await startProcess(configuration)
  const rest = Array.from({ length: count - 1 }, () => startProcess(configuration))
  // The first one to be there delivers the events.
  const gateways = [first, ...(await Promise.all(rest))]
  return {
    gateways,
    hook,
    async [Symbol.asyncDispose]() {
      await Promise.all(gateways.map(each => each.end()))
      await Promise.all([hook.close(), postgres[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()])
    },
  }
}

/** Starts model servers that list and answer one model; their ids begin with its name. */
export function startMembers(count: number, model: string): Promise<readonly Member[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => startMember(`${model}-${index + 1}`, model)))
}

function configurationOf(database: string, redis: string, hook: string): string {
  const plenty = { requests_per_minute: 1_000_000, burst: 10_000 }
  return JSON.stringify({
    auth: { mode: 'none', admin_keys: [ADMIN] },
    database: { url: database },
    redis: { url: redis, timeout: '2s' },
    gateway: { discover: false, demo: false },
    limits: { global: plenty, per_client: plenty },
    load_balancer: {
      algorithm: 'weighted_round_robin',
      health_check_interval: `${PROBE.every}ms`,
      health_check_timeout: `${PROBE.timeout}ms`,
      unhealthy_threshold: PROBE.failures,
      recovery_threshold: 2,
    },
    timeouts: { first_byte: '2s', first_token: '30s' },
    monitoring: { thresholds: { response_time: [`${PROBE.slow}ms`, '5s'] } },
    orchestration: { allowed_addresses: ['127.0.0.0/8'] },
    webhooks: { deliver: [{ url: hook, secret: SECRET }] },
  })
}

async function startProcess(configuration: string): Promise<GatewayProcess & { end(): Promise<void> }> {
  let running = await start(configuration)
  const kill = async () => {
    running.kill('SIGKILL')
    await running.exited
  }
  return {
    get url() {
      return running.url
    },
    kill,
    async start() {
      await running[Symbol.asyncDispose]()
      running = await start(configuration)
      await until('it is ready', async () => (await fetch(`${running.url}/readyz`)).ok)
    },
    end: () => running[Symbol.asyncDispose](),
  }
}

async function startMember(id: string, model: string): Promise<Member> {
  const usual = openAiScript({ deltas: DELTAS, models: [model] })
  const answer: Script = request => {
    if (member.mood === 'hangs') return hang()
    if (request.path === '/health') return json(200, { status: 'ok' })
    if (request.method === 'POST') member.calls++
    if (!request.body.includes(HOLD)) return typeof usual === 'function' ? usual(request) : usual
    const events = chatEvents(model, { deltas: DELTAS })
    return sse([...events.slice(0, 2), member.held, ...events.slice(2)])
  }
  const open = (port: number) =>
    startUpstream(
      async request => {
        const steps = typeof answer === 'function' ? await answer(request) : answer
        return [member.mood === 'slow' ? pause(SLOW_MS) : [], steps]
      },
      { port },
    )
  let upstream: Upstream | null = null
  const member: Member & { port: number } = {
    id,
    port: 0,
    mood: 'well',
    held: gate(),
    calls: 0,
    async kill() {
      await upstream?.close()
      upstream = null
    },
    async revive() {
      upstream ??= await open(member.port)
    },
  }
  upstream = await open(0)
  member.port = upstream.port
  return member
}

async function startHook(): Promise<Hook & { close(): Promise<void> }> {
  const receiver = await startUpstream(request => json(request.index < REFUSED ? 503 : 200, {}))
  return {
    url: `${receiver.url}/hook`,
    get taken() {
      return receiver.requests
        .slice(REFUSED)
        .map(({ headers, body }) => ({ id: headers['webhook-id'] ?? '', headers, body }))
    },
    get refused() {
      return Math.min(REFUSED, receiver.requests.length)
    },
    close: receiver.close,
  }
}
