import { describe, expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import type { ConfigInput } from '#config/schema.ts'
import { ADMIN_KEY, AS_ADMIN, type Edge, edgeOf, errorOf } from './edge.ts'

const KEY = 'sk-of-a-neighbour'
const LATE = 'sk-of-a-late-neighbour'
const keys = [
  { name: 'neighbour', key: KEY },
  { name: 'late', key: LATE },
]
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

function edgeWith(auth: ConfigInput['auth'] = {}, more: ConfigInput = {}): Promise<Edge> {
  return edgeOf({ ...more, auth: { keys, failures_per_minute: 3, ...auth } })
}

async function guess(edge: Edge, times: number, from?: string): Promise<number[]> {
  const statuses: number[] = []
  for (let n = 0; n < times; n++)
    statuses.push((await edge.chat({ headers: bearer(`sk-guess-${n}`), ...(from && { from }) })).status)
  return statuses
}

describe('an address that guesses', () => {
  test('waits after so many wrong keys, and is told for how long', async () => {
    const edge = await edgeWith()

    expect(await guess(edge, 5)).toEqual([401, 401, 401, 429, 429])
    const response = await edge.chat({ headers: bearer('sk-guess') })
    expect(response.headers.get('retry-after')).toBe('20')
    expect((await errorOf(response)).code).toBe('rate_limit_exceeded')
    await edge.pass(20_000)
    expect(await guess(edge, 2)).toEqual([401, 429])
  })

  test.each(['x-api-key', 'api-key'])('waits as well when it sends them in %s', async header => {
    const edge = await edgeWith()
    const statuses: number[] = []
    for (let n = 0; n < 4; n++) statuses.push((await edge.chat({ headers: { [header]: `sk-guess-${n}` } })).status)

    expect(statuses).toEqual([401, 401, 401, 429])
  })

  test('is seen in the metrics', async () => {
    const edge = await edgeWith({ admin_keys: [ADMIN_KEY] })
    await edge.ask('/management/keys', { headers: AS_ADMIN })
    await guess(edge, 5)

    const metrics = await edge.ask('/metrics', { headers: AS_ADMIN })

    expect(await metrics.text()).toContain('gateway_rate_limited_total{scope="failures"} 2')
  })

  test('waits also with a key that is right, or waiting would tell which one is', async () => {
    const edge = await edgeWith()
    await guess(edge, 3)

    expect((await edge.chat({ headers: bearer(LATE) })).status).toBe(429)
    await edge.pass(20_000)
    expect((await edge.chat({ headers: bearer(LATE) })).status).toBe(200)
  })

  test.each<Record<string, string>>([bearer(KEY), { 'x-api-key': KEY }, { 'api-key': KEY }])(
    'does not hold up a neighbour whose key was good before: %j',
    async headers => {
      const edge = await edgeWith()
      await edge.chat({ headers })
      await guess(edge, 5)

      expect((await edge.chat({ headers })).status).toBe(200)
    },
  )

  test('does not hold up a neighbour when the configuration is read again', async () => {
    const edge = await edgeWith()
    await edge.chat({ headers: bearer(KEY) })
    await guess(edge, 4)
    edge.gateway.reload(configFrom({ auth: { keys, failures_per_minute: 3 } }))

    expect((await edge.chat({ headers: bearer(KEY) })).status).toBe(200)
  })

  test('is what a neighbour becomes whose key is taken away', async () => {
    const edge = await edgeWith()
    await edge.chat({ headers: bearer(KEY) })
    await guess(edge, 4)
    edge.gateway.reload(configFrom({ auth: { keys: keys.slice(1), failures_per_minute: 3 } }))

    expect((await edge.chat({ headers: bearer(KEY) })).status).toBe(401)
    expect((await edge.chat({ headers: bearer(KEY) })).status).toBe(429)
  })

  test('does not hold up other addresses, nor who sends no key', async () => {
    const edge = await edgeWith({ mode: 'optional' })
    await guess(edge, 5)

    expect((await edge.chat({ headers: bearer(LATE), from: '203.0.113.8' })).status).toBe(200)
    expect((await edge.chat()).status).toBe(200)
  })

  test('is the one behind a trusted proxy, not the proxy', async () => {
    const edge = await edgeWith({}, { service: { trusted_proxies: ['10.0.0.0/8'] } })
    const via = (client: string, key: string) =>
      edge.chat({ from: '10.1.1.1', headers: { ...bearer(key), 'x-forwarded-for': client } })
    for (let n = 0; n < 4; n++) await via('198.51.100.1', `sk-guess-${n}`)

    expect((await via('198.51.100.1', LATE)).status).toBe(429)
    expect((await via('198.51.100.2', LATE)).status).toBe(200)
  })

  test('cannot get away by inventing addresses', async () => {
    const edge = await edgeWith()
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) {
      const headers = { ...bearer(`sk-guess-${n}`), 'x-forwarded-for': `198.51.100.${n}`, 'x-real-ip': `10.0.0.${n}` }
      statuses.push((await edge.chat({ headers })).status)
    }

    expect(statuses).toEqual([401, 401, 401, 429, 429])
  })

  test('waits at the pages for operators where model calls need no key, and only there', async () => {
    const edge = await edgeOf({ auth: { mode: 'none', failures_per_minute: 3 } })

    expect(await guess(edge, 5)).toEqual([200, 200, 200, 200, 200])
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) {
      statuses.push((await edge.ask('/management/keys', { headers: bearer(`sk-guess-${n}`) })).status)
    }
    expect(statuses).toEqual([401, 401, 401, 429, 429])
  })

  test('is not counted for keys that are missing', async () => {
    const edge = await edgeWith()
    for (let n = 0; n < 5; n++) await edge.chat()

    expect((await edge.chat({ headers: bearer(LATE) })).status).toBe(200)
  })

  test('goes on waiting when the configuration is read again, and never waits when nothing is counted', async () => {
    const edge = await edgeWith()
    const off = await edgeWith({ failures_per_minute: 0 })

    expect(await guess(off, 30)).toEqual(Array.from({ length: 30 }, () => 401))
    await guess(edge, 4)
    edge.gateway.reload(configFrom({ auth: { keys, failures_per_minute: 3 } }))
    expect(await guess(edge, 1)).toEqual([429])
  })
})
