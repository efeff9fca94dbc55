import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Environment } from '#config/env.ts'
import { parseEnvFile } from '#config/env-file.ts'
import { loadConfig } from '#config/load.ts'
import type { ConfigInput } from '#config/schema.ts'
import { configFrom, createGateway, type Gateway, type Overrides } from '#src/index.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { startUpstream, type Upstream } from '#tests/support/upstream.ts'
import { connectionFrom } from '../support/connection.ts'

setDefaultTimeout(20_000)

const shared = sharedDir()
const fileOf = (name: string) => join(shared ?? '', 'citadel-config', name)
const YAML = fileOf('unified-api-gateway.yaml')
// Without the files there is nothing to say about them.
const withFiles = describe.skipIf(shared === null)

const ENDPOINTS: Readonly<Record<string, string>> = {
  'mixtral-8x7b': 'MIXTRAL_8X7B_ENDPOINT',
  'hermes-2': 'HERMES_2_ENDPOINT',
  'openchat-3.5': 'OPENCHAT_3_5_ENDPOINT',
  'phi-3-mini': 'PHI_3_MINI_ENDPOINT',
}
const MODELS = Object.keys(ENDPOINTS)

/** The four model services of the organisation, on this machine. */
const services = new Map<string, Upstream>()

beforeAll(async () => {
  for (const model of MODELS) services.set(model, await startUpstream(openAiScript({ models: [model] })))
})
afterAll(async () => {
  for (const service of services.values()) await service.close()
})

/** The variables that point the gateway to them. */
function endpoints(): Record<string, string> {
  return Object.fromEntries(MODELS.map(model => [ENDPOINTS[model] ?? '', services.get(model)?.url ?? '']))
}

/** How the organisation's installation is configured: by its file, or by its variables. */
async function settingsFrom(source: 'file' | 'variables', more: Environment = {}) {
  const own = parseEnvFile(await readFile(fileOf('unified-api-gateway.env'), 'utf8'))
  return source === 'file'
    ? { files: [YAML], env: { ...endpoints(), ...more } }
    : { files: [], env: { ...own, ...endpoints(), ...more } }
}

interface Installation extends AsyncDisposable {
  readonly gateway: Gateway
  ask(body?: object): Promise<Response>
  /** Resolves when the log says that a server is out. */
  lost(server: string): Promise<void>
}

function installation(config: ReturnType<typeof configFrom>, overrides: Overrides = {}): Installation {
  let log = ''
  let look = () => {}
  const gateway = createGateway(config, {
    random: () => 0,
    // The process of the tests may hold more than the two gigabytes that the file allows a gateway.
    pressure: () => ({ lagMs: 0, memory: 0 }),
    write: text => {
      log += text
      look()
    },
    ...overrides,
  })
  return {
    gateway,
    ask: (body = {}) =>
      gateway.fetch(
        new Request('http://localhost:8000/v1/chat/completions', {
          method: 'POST',
          body: JSON.stringify({ messages: [{ role: 'user', content: 'Hi' }], ...body }),
        }),
        connectionFrom('192.168.10.50'),
      ),
    lost: server =>
      new Promise(resolve => {
        look = () => {
          if (log.includes(`"server":"${server}","from":"unknown","to":"unhealthy"`)) resolve()
        }
        look()
      }),
    [Symbol.asyncDispose]: () => gateway.close(),
  }
}

async function installed(source: 'file' | 'variables', more: Environment = {}, overrides: Overrides = {}) {
  const { config } = await loadConfig(await settingsFrom(source, more))
  return installation(config, overrides)
}

/** Which servers answered so many calls, one after the other. */
async function answeredBy(where: Installation, calls: number, body: object = {}): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (let call = 0; call < calls; call++) {
    const response = await where.ask(body)
    expect(response.status).toBe(200)
    const server = response.headers.get('x-citadel-server') ?? ''
    counts.set(server, (counts.get(server) ?? 0) + 1)
    await response.text()
  }
  return counts
}

withFiles.each(['file', 'variables'] as const)('the installation of the organisation, by its %s', source => {
  test('spreads ten calls that name no model evenly over its four', async () => {
    await using where = await installed(source)

    const counts = await answeredBy(where, 10)

    expect([...counts.keys()].toSorted()).toEqual(MODELS.toSorted())
    expect(Math.max(...counts.values()) - Math.min(...counts.values())).toBeLessThanOrEqual(1)
  })

  test('sends each service its own model, also for model: auto', async () => {
    await using where = await installed(source)
    const before = new Map(MODELS.map(model => [model, services.get(model)?.requests.length ?? 0]))

    await answeredBy(where, 8, { model: 'auto' })

    for (const [model, service] of services) {
      const calls = service.requests.slice(before.get(model)).filter(({ method }) => method === 'POST')
      expect(calls).toHaveLength(2)
      for (const call of calls) expect(call.json()).toMatchObject({ model })
    }
  })

  test.each(MODELS)('sends calls for %s to its own service', async model => {
    await using where = await installed(source)

    expect(await answeredBy(where, 3, { model })).toEqual(new Map([[model, 3]]))
  })

  test('answers 200 calls from one address, 20 at once', async () => {
    await using where = await installed(source)
    const statuses: number[] = []
    const worker = async () => {
      while (statuses.length < 200) {
        const at = statuses.push(0) - 1
        const response = await where.ask()
        await response.text()
        statuses[at] = response.status
      }
    }

    await Promise.all(Array.from({ length: 20 }, worker))

    expect(statuses).toHaveLength(200)
    expect(new Set(statuses)).toEqual(new Set([200]))
  })

  test('limits to fifty calls a second with two hundred at once', async () => {
    const clock = fakeClock()
    await using where = await installed(source, {}, { clock })
    const statuses: number[] = []
    for (let call = 0; call < 200; call++) statuses.push((await where.ask({ model: 'phi-3-mini' })).status)

    const refused = await where.ask()
    clock.advance(19)
    const early = await where.ask()
    clock.advance(1)
    const due = await where.ask({ model: 'phi-3-mini' })
    const next = await where.ask()

    expect(new Set(statuses)).toEqual(new Set([200]))
    expect([refused.status, early.status, due.status, next.status]).toEqual([429, 429, 200, 429])
    expect(refused.headers.get('retry-after-ms')).toBe('20')
    expect(refused.headers.get('x-ratelimit-limit-requests')).toBe('3000')
  })
})

withFiles('the algorithms over the four models', () => {
  test('weighted round robin shares as the weights say', async () => {
    await using where = await installed('file', { LOAD_BALANCER_ALGORITHM: 'weighted_round_robin' })

    const counts = await answeredBy(where, 28)

    expect(Object.fromEntries(counts)).toEqual({
      'mixtral-8x7b': 10,
      'hermes-2': 8,
      'openchat-3.5': 6,
      'phi-3-mini': 4,
    })
  })

  test('least busy keeps two calls at once apart', async () => {
    await using where = await installed('file', { LOAD_BALANCER_ALGORITHM: 'least_busy' })

    const answers = await Promise.all([where.ask(), where.ask()])

    const [first, second] = answers.map(({ headers }) => headers.get('x-citadel-server'))
    expect(first).not.toBe(second)
  })

  test.each(['round_robin', 'weighted_round_robin', 'random', 'least_busy'])(
    '%s sends nothing to a service that is out',
    async algorithm => {
      const gone = await startUpstream(openAiScript())
      await gone.close()
      const env = { LOAD_BALANCER_ALGORITHM: algorithm, HERMES_2_ENDPOINT: gone.url }
      const { config } = await loadConfig(await settingsFrom('file', env))
      const strict = { ...config, load_balancer: { ...config.load_balancer, unhealthy_threshold: 1 } }
      let turn = 0
      await using where = installation(strict, { random: () => (turn++ % 10) / 10 })
      await where.lost('hermes-2')

      const counts = await answeredBy(where, 12)

      expect(counts.has('hermes-2')).toBe(false)
      expect(counts.size).toBeGreaterThan(1)
    },
  )

  test('a service that fails on the way costs no caller anything', async () => {
    const gone = await startUpstream(openAiScript())
    await gone.close()
    await using where = await installed('file', { HERMES_2_ENDPOINT: gone.url }, { random: () => 0.99 })

    const counts = await answeredBy(where, 8)

    expect(counts.has('hermes-2')).toBe(false)
  })
})

withFiles('what the organisation wrote', () => {
  test('has an effect, key by key', async () => {
    const { warnings } = await loadConfig({ files: [YAML], env: {} })

    expect(warnings).toEqual([])
  })

  test('holds beside the variables of its clients, whose limit of 60 a minute is then for each client', async () => {
    const client = parseEnvFile(await readFile(fileOf('gateway.env'), 'utf8'))
    const clock = fakeClock()
    await using where = await installed('variables', client, { clock })
    const statuses: number[] = []

    for (let call = 0; call < 65; call++) statuses.push((await where.ask({ model: 'phi-3-mini' })).status)

    expect(statuses.filter(status => status === 200)).toHaveLength(60)
  })

  test('names itself in its health report', async () => {
    await using where = await installed('file')

    const health = await (await where.gateway.fetch(new Request('http://gateway.test/health'))).json()

    expect(health).toMatchObject({ gateway: 'unified-api-gateway', models: MODELS.toSorted() })
  })
})

describe('the examples', () => {
  const folder = join(import.meta.dir, '../../config/examples')

  const files = readdirSync(folder).filter(name => name.endsWith('.yaml'))

  test.each(files)('%s loads and lists its models with an empty environment', async name => {
    const { config } = await loadConfig({ files: [join(folder, name)], env: {} })
    const keyed = { ...config, auth: { ...config.auth, mode: 'none' as const } }
    const unreachable: Overrides['transport'] = async () => {
      throw new TypeError('no network')
    }
    await using where = installation(keyed, { transport: unreachable })

    const response = await where.gateway.fetch(new Request('http://localhost/v1/models'))

    const { data } = (await response.json()) as { readonly data: readonly { readonly id: string }[] }
    expect(data.map(({ id }) => id)).toEqual(Object.keys(config.models).toSorted((a, b) => a.localeCompare(b)))
  })

  test('the names that the organisation uses lead to the models of its Ollama server', async () => {
    await using business = await startUpstream(openAiScript())
    const env = { OLLAMA_URL: 'http://127.0.0.1:9', BUSINESS_URL: business.url }
    const { config } = await loadConfig({ files: [join(folder, 'citadel.yaml')], env })
    await using where = installation(config)

    const entry = await (await where.gateway.fetch(new Request('http://localhost/v1/models/mixtral-8x7b'))).json()

    expect(entry).toMatchObject({ id: 'mixtral-8x7b', class: 'heavyweight', context_length: 32768 })
    // Its own server is away, so its fallback on the business server answers.
    const answer = await where.ask({ model: 'mixtral-8x7b' })
    expect(answer.headers.get('x-citadel-server')).toBe('business')
    expect(answer.headers.get('x-citadel-model')).toBe('yi-34b')
  })
})

describe('a class that prefers servers', () => {
  const configOf = (first: string, second: string): ConfigInput => ({
    gateway: { discover: false, demo: false, classes: { lightweight: { prefer: ['first', 'second'] } } },
    servers: [
      { id: 'second', kind: 'openai_compatible', base_url: second, weight: 10 },
      { id: 'first', kind: 'openai_compatible', base_url: first },
    ],
    models: { small: { targets: [{ server: 'second' }, { server: 'first' }], class: 'lightweight', aliases: ['phi'] } },
  })

  test('asks the first server for everything, by name and by alias', async () => {
    await using first = await startUpstream(openAiScript())
    await using second = await startUpstream(openAiScript())
    await using where = installation(configFrom(configOf(first.url, second.url)))

    expect(await answeredBy(where, 5, { model: 'small' })).toEqual(new Map([['first', 5]]))
    expect(await answeredBy(where, 5, { model: 'phi' })).toEqual(new Map([['first', 5]]))
  })

  test('falls back to the second server while the first one is away', async () => {
    const first = await startUpstream(openAiScript())
    await using second = await startUpstream(openAiScript())
    await first.close()
    await using where = installation(configFrom(configOf(first.url, second.url)))

    expect(await answeredBy(where, 5, { model: 'small' })).toEqual(new Map([['second', 5]]))
  })
})
