import { describe, expect, test } from 'bun:test'
import { edgeOf, errorOf } from './edge.ts'

const KEY = 'sk-key-of-an-application'
const OTHER_KEY = 'sk-key-of-another-one'
const keyed = (key: string, more: Record<string, string> = {}) => ({ headers: { 'idempotency-key': key, ...more } })
const body = (content: string, more: object = {}) => ({
  model: 'citadel-demo',
  messages: [{ role: 'user', content }],
  ...more,
})
const replayed = (response: Response) => response.headers.get('idempotency-replayed')

describe('a call with an idempotency key', () => {
  test('sent again gets the same answer, under an id of its own', async () => {
    const edge = await edgeOf()

    const first = await edge.chat(keyed('k'))
    const again = await edge.chat(keyed('k'))

    expect([first.status, again.status]).toEqual([200, 200])
    expect([replayed(first), replayed(again)]).toEqual([null, 'true'])
    expect(again.headers.get('content-type')).toBe(first.headers.get('content-type'))
    expect(again.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'))
    expect(await again.text()).toBe(await first.text())
  })

  test('is told when the body is another one', async () => {
    const edge = await edgeOf()
    await edge.chat(keyed('k'))

    const other = await edge.chat({ ...keyed('k'), body: body('Something else') })
    const spelled = await edge.ask('/chat/completions', { method: 'POST', body: body('Hi'), ...keyed('k') })
    const elsewhere = await edge.ask('/v1/completions', {
      method: 'POST',
      body: { model: 'citadel-demo', prompt: 'Hi' },
      ...keyed('k'),
    })

    expect([other.status, elsewhere.status]).toEqual([422, 422])
    expect(await errorOf(other)).toMatchObject({ code: 'idempotency_mismatch', param: 'idempotency-key' })
    expect([spelled.status, replayed(spelled)]).toEqual([200, 'true'])
  })

  test('is forgotten after a day, so that the call is made anew', async () => {
    const edge = await edgeOf({ limits: { enabled: false } })
    await edge.chat(keyed('k'))

    edge.clock.advance(24 * 60 * 60 * 1000 - 1)
    const before = await edge.chat(keyed('k'))
    edge.clock.advance(1)
    const after = await edge.chat(keyed('k'))

    expect([replayed(before), replayed(after)]).toEqual(['true', null])
  })

  test('is refused where the key is none', async () => {
    const edge = await edgeOf()

    for (const key of ['', 'two words', 'ä', 'x'.repeat(256)]) {
      const response = await edge.chat(keyed(key))

      expect(response.status, key).toBe(400)
      expect((await errorOf(response)).param).toBe('idempotency-key')
    }
    expect((await edge.chat(keyed('x'.repeat(255)))).status).toBe(200)
  })

  test('takes from the limits whether or not it is replayed', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 2 } } })
    const statuses: number[] = []
    for (let time = 0; time < 3; time++) statuses.push((await edge.chat(keyed('k'))).status)

    expect(statuses).toEqual([200, 200, 429])
  })

  test('is counted each time it is replayed', async () => {
    const edge = await edgeOf()
    for (let time = 0; time < 3; time++) await edge.chat(keyed('k'))

    expect(await (await edge.ask('/metrics')).text()).toContain('\ngateway_idempotent_replays_total 2\n')
  })

  test('lets pages of a browser read the header that tells of a replay', async () => {
    const edge = await edgeOf()
    const { headers } = await edge.chat(keyed('k', { origin: 'http://localhost:3000' }))

    expect(headers.get('access-control-expose-headers')).toContain('idempotency-replayed')
  })
})

describe('the key of one caller', () => {
  test('means another call when another caller sends it', async () => {
    const edge = await edgeOf({
      auth: {
        keys: [
          { name: 'a', key: KEY },
          { name: 'b', key: OTHER_KEY },
        ],
      },
    })
    const as = (key: string) => edge.chat(keyed('k', { authorization: `Bearer ${key}` }))

    expect([replayed(await as(KEY)), replayed(await as(OTHER_KEY)), replayed(await as(KEY))]).toEqual([
      null,
      null,
      'true',
    ])
  })

  test('is the address’s where no key is needed', async () => {
    const edge = await edgeOf()
    const from = (address: string) => edge.chat({ ...keyed('k'), from: address })

    expect(replayed(await from('203.0.113.1'))).toBeNull()
    expect(replayed(await from('203.0.113.2'))).toBeNull()
    expect(replayed(await from('203.0.113.1'))).toBe('true')
  })
})

describe('nothing is stored', () => {
  test('of a request that was wrong', async () => {
    const edge = await edgeOf()
    const wrong = await edge.chat({ ...keyed('k'), body: { model: 'citadel-demo', messages: 'none' } })
    const unknown = await edge.chat({ ...keyed('k'), body: body('Hi', { model: 'nothing' }) })
    const right = await edge.chat(keyed('k'))

    expect([wrong.status, unknown.status, right.status]).toEqual([400, 404, 200])
    expect(replayed(right)).toBeNull()
  })

  test('of a request that was limited', async () => {
    const edge = await edgeOf({ limits: { per_client: { requests_per_minute: 60, burst: 1 } } })
    await edge.chat()
    const limited = await edge.chat(keyed('k'))
    await edge.pass(1000)
    const passed = await edge.chat(keyed('k'))

    expect([limited.status, passed.status, replayed(passed)]).toEqual([429, 200, null])
  })

  test('of a request without an idempotency key', async () => {
    const edge = await edgeOf()
    await edge.chat()

    expect(replayed(await edge.chat())).toBeNull()
  })
})
