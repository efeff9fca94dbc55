import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { join } from 'node:path'
import { parseExposition } from '#tests/support/exposition.ts'
import { configOf, startGateway, startModelServer, type TestGateway, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents, openAiError } from '#tests/support/openai-upstream.ts'
import { seeded } from '#tests/support/random.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { cut, hang, html, json, pause, type RecordedRequest, reset, type Steps, sse } from '#tests/support/upstream.ts'

const ADMIN = 'gw-admin-0123456789abcdef'
const KEYS = ['sk-of-the-first-key', 'sk-of-the-second-key'] as const
const ROUNDS = 16
const AT_ONCE = 24
/** As many calls as the model takes at once. */
const PLACES = 8
/** What is to be nothing when nobody asks any more. */
const HELD =
  /^(?:gateway_inflight\{.*|gateway_holds_open|gateway_queue_depth|gateway_streams_active|gateway_spool_depth)$/

const [role = '', one = '', two = '', three = '', ...rest] = chatEvents('test-model', {}, true)
const whole = json(200, chatCompletion('test-model'))
const limited = openAiError(429, 'slow down', null, { 'retry-after-ms': '5' })

/** Servers that do all that servers do, by chance; well from the moment on that `calm` says so. */
function whims(chance: () => number, calm: () => boolean): (request: RecordedRequest) => Steps {
  const pick = <T>(all: readonly T[]): T | undefined => all[Math.floor(chance() * all.length)]
  return ({ body }) => {
    const wait = () => pause(Math.floor(chance() * 12))
    if (calm()) return [pause(20), whole]
    const streamed: readonly Steps[] = [
      sse([role, wait(), one, wait(), two, wait(), three, ...rest]),
      sse([role, one, wait(), two, three, wait(), ...rest]),
      sse([role, one, two, three, ...rest]),
      sse([role, one, wait(), cut()]),
      sse([role, wait(), one, two, wait(), reset()]),
      sse([role, one, { error: { message: 'out of memory', code: 500 } }]),
      sse([role, hang()]),
      html(),
    ]
    const failed: readonly Steps[] = [[wait(), reset()], json(500, {}), limited, [wait(), whole]]
    return (
      pick(String(body).includes('"stream":true') ? [...streamed, ...failed.slice(0, -1)] : [...failed, whole]) ?? whole
    )
  }
}

function config(servers: Parameters<typeof configOf>[0], folder: string): Tree {
  const target = (server: string, price: number) => ({
    ...{ server, model: 'test-model', max_concurrent: 4 },
    price: { input: price, output: 2 * price },
  })
  return {
    ...configOf(servers),
    service: { data_dir: folder },
    models: {
      chat: {
        targets: [target('a', 1), target('b', 2)],
        fallbacks: ['spare'],
        hedging: { enabled: true, after: '4ms' },
      },
      spare: { targets: [target('c', 5)] },
    },
    timeouts: { first_byte: '60ms', first_token: '60ms', idle: '60ms', queue: '40ms', total: '500ms' },
    retry: { backoff_base: '2ms' },
    load_balancer: { algorithm: 'least_busy', circuit_breaker_threshold: 100_000 },
    cache: { enabled: true, scope: 'tenant' },
    auth: {
      mode: 'required',
      admin_keys: [ADMIN],
      keys: KEYS.map((key, at) => ({
        ...{ name: `key-${at}`, key, budget: { usd: 1, per: 'day' } },
        limits: { requests_per_minute: 0, tokens_per_minute: 10_000_000, concurrent_requests: 100 },
      })),
    },
    limits: {
      ...{ enabled: true, global: { requests_per_minute: 0 }, per_client: { requests_per_minute: 0 } },
      per_user: { concurrent_requests: 100 },
      per_model: {
        chat: { concurrent_requests: PLACES, tokens_per_minute: 10_000_000 },
        spare: { concurrent_requests: 2 },
      },
    },
  }
}

/** A call as impatient as callers are, by chance; how it ended is nobody's business. */
async function askSomehow({ chat }: TestGateway, chance: () => number, number: number): Promise<void> {
  const headers = new Headers({ authorization: `Bearer ${KEYS[chance() < 0.5 ? 0 : 1]}` })
  if (chance() < 0.3) headers.set('x-citadel-timeout-ms', String(5 + Math.floor(chance() * 60)))
  if (chance() < 0.2) headers.set('x-citadel-first-token-ms', String(5 + Math.floor(chance() * 30)))
  if (chance() < 0.1) headers.set('idempotency-key', `call-${number}`)
  const body = { stream: chance() < 0.7, user: chance() < 0.5 ? 'ada' : 'ben', seed: Math.floor(number / 6) }
  const store = chance() < 0.1 ? { store: true } : {}
  const leaving = new AbortController()
  const timer = chance() < 0.5 ? setTimeout(() => leaving.abort(), chance() * 40) : undefined
  await chat({ ...body, ...store }, { headers, signal: leaving.signal })
    .then(response => response.text())
    .catch(() => '')
  clearTimeout(timer)
}

/** What is still held, by the gateway's own numbers. */
async function leftovers({ url }: TestGateway): Promise<true | object> {
  const text = await (await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${ADMIN}` } })).text()
  const held = [...parseExposition(text)].filter(([name, value]) => HELD.test(name) && value !== 0)
  return held.length === 0 || Object.fromEntries(held)
}

test('whatever servers and callers do, nothing stays held, and every cent is in a row', async () => {
  const folder = await ownFolder('citadel-leftovers-')
  const chance = seeded(7)
  let calm = false
  const script = whims(chance, () => calm)
  await using a = await startModelServer(script)
  await using b = await startModelServer(script)
  await using c = await startModelServer(script)
  try {
    await using gateway = await startGateway(config([a, b, c], folder.path))
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(Array.from({ length: AT_ONCE }, (_, at) => askSomehow(gateway, chance, round * AT_ONCE + at)))
    }
    calm = true

    await until('nothing is held', 5000, () => leftovers(gateway))
    const last = Array.from({ length: PLACES }, async (_, at) => {
      const init = { headers: { authorization: `Bearer ${KEYS[0]}` } }
      return (await gateway.chat({ seed: 1_000_000 + at }, init)).status
    })
    expect(await Promise.all(last)).toEqual(Array(PLACES).fill(200))
    expect(gateway.lines.filter(({ code }) => code === 'internal_error')).toEqual([])
    await gateway.gateway.close()

    using database = new Database(join(folder.path, 'citadel.db'), { readonly: true })
    const rows = database.query<{ key: string; spent: number }, []>(
      `SELECT 'key:' || tenant || '/' || key_id AS key, sum(cost_nano) AS spent FROM requests
       WHERE parent IS NULL GROUP BY 1 ORDER BY 1`,
    )
    const budgets = database.query<{ key: string; spent: number; held: number }, []>(
      'SELECT account AS key, spent, held FROM budgets ORDER BY account',
    )
    expect(budgets.all()).toEqual(rows.all().map(row => ({ ...row, held: 0 })))
  } finally {
    await folder.remove()
  }
}, 60_000)
