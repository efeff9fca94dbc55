import { configFrom } from '#config/load.ts'
import type { Config, ConfigInput } from '#config/schema.ts'
import { createGateway, type Gateway, type Overrides } from '#src/index.ts'
import { listen } from '#src/server.ts'
import {
  cut,
  json,
  type RecordedRequest,
  type Script,
  startUpstream,
  type Upstream,
  type UpstreamOptions,
} from '#tests/support/upstream.ts'

/** The key that the gateway holds for every scripted server; it must never reach a caller. */
export const SERVER_KEY = 'sk-server-0123456789abcdef'

/** A line of the gateway's log. */
export type LogLine = Readonly<Record<string, unknown>>

/** A gateway of this process on a socket of its own. */
export interface TestGateway {
  /** Its address without a slash at the end. */
  readonly url: string
  readonly port: number
  readonly gateway: Gateway
  /** The lines written so far. */
  readonly lines: readonly LogLine[]
  /** Resolves with the first line that has all of these values. */
  logged(values: LogLine): Promise<LogLine>
  /** Sends a model call with the usual body; `body` adds to it. */
  chat(body?: object, init?: RequestInit): Promise<Response>
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a gateway on a free port, without limits, and without looking for servers on this machine. */
export async function startGateway(input: Tree, overrides: Overrides = {}): Promise<TestGateway> {
  const config: Config = configFrom({
    limits: { enabled: false },
    ...input,
    gateway: { discover: false, demo: false, ...(input.gateway as object) },
  } as ConfigInput)
  const log = createLogReader()
  const gateway = createGateway(config, { write: log.write, ...overrides })
  const listener = listen({
    host: config.service.host,
    port: 0,
    keepAliveSeconds: config.service.keep_alive / 1000,
    handle: gateway.fetch,
  })
  return {
    url: listener.url,
    port: listener.port,
    gateway,
    lines: log.lines,
    logged: log.until,
    chat: (body = {}, init = {}) =>
      fetch(`${listener.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(callBody(body)), ...init }),
    async [Symbol.asyncDispose]() {
      gateway.abort()
      await listener.kill()
      await gateway.close()
    },
  }
}

/** A configuration as a file would say it. */
export type Tree = Readonly<Record<string, unknown>>

/** The body of a call of the model `chat`. */
export function callBody(more: object = {}): object {
  return { model: 'chat', messages: [{ role: 'user', content: 'Hi' }], ...more }
}

/** A scripted model server: its script sees model calls only, for probes are answered by themselves. */
export interface ModelServer extends Upstream {
  /** The model calls so far. */
  readonly calls: readonly RecordedRequest[]
  /** Resolves with the n-th model call (from 1) as soon as it is in. */
  called(n: number): Promise<RecordedRequest>
}

/** Starts a scripted model server; in its script `request.index` counts model calls.
 *
 * @param options.key Hangs up on whoever has another one: the gateways of other processes go on asking at the port of a
 * server that is gone, which may have become this one's. */
export async function startModelServer(
  script: Script,
  options: UpstreamOptions & { readonly key?: string } = {},
): Promise<ModelServer> {
  const { key } = options
  const calls: RecordedRequest[] = []
  const waiting = new Set<() => void>()
  const upstream = await startUpstream(request => {
    if (key !== undefined && request.headers.authorization !== `Bearer ${key}`) return cut()
    if (request.method === 'GET') return json(200, { status: 'ok' })
    const call: RecordedRequest = Object.create(request, { index: { value: calls.length } })
    calls.push(call)
    for (const look of [...waiting]) look()
    return typeof script === 'function' ? script(call) : script
  }, options)
  const called = (n: number) =>
    new Promise<RecordedRequest>(resolve => {
      const look = () => {
        const call = calls[n - 1]
        if (call === undefined) return
        waiting.delete(look)
        resolve(call)
      }
      waiting.add(look)
      look()
    })
  return Object.create(upstream, { calls: { value: calls }, called: { value: called } })
}

/** A configuration in which these servers, named `a`, `b`, … in order, offer the model `chat`, tried in that order. */
export function configOf(servers: readonly Pick<Upstream, 'url'>[], more: Tree = {}): Tree {
  const ids = servers.map((_, index) => serverId(index))
  const { kind = 'openai_compatible', ...rest } = more
  return {
    servers: servers.map(({ url }, index) => ({ id: ids[index], kind, base_url: url, api_key: SERVER_KEY })),
    models: { chat: { targets: ids.map(server => ({ server, model: 'test-model' })) } },
    load_balancer: { algorithm: 'round_robin' },
    ...rest,
  }
}

/** The same, but the first server alone offers `chat`, and `spare` on the second one is its fallback. */
export function configWithFallback([first, second]: readonly [Upstream, Upstream], more: Tree = {}): Tree {
  return {
    ...configOf([first, second]),
    models: {
      chat: { targets: [{ server: serverId(0), model: 'test-model' }], fallbacks: ['spare'] },
      spare: { targets: [{ server: serverId(1), model: 'spare-model' }] },
    },
    ...more,
  }
}

function serverId(index: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + index)
}

function createLogReader() {
  const lines: LogLine[] = []
  const looks = new Set<() => void>()
  return {
    lines,
    write(text: string): void {
      for (const line of text.split('\n')) if (line !== '') lines.push(JSON.parse(line))
      for (const look of [...looks]) look()
    },
    until: (values: LogLine) =>
      new Promise<LogLine>(resolve => {
        const look = () => {
          const found = lines.find(line => Object.entries(values).every(([name, value]) => line[name] === value))
          if (found === undefined) return
          looks.delete(look)
          resolve(found)
        }
        looks.add(look)
        look()
      }),
  }
}
