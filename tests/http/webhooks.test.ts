import { describe, expect, test } from 'bun:test'
import { signWebhook } from '#lib/standard-webhooks.ts'
import { ADMINISTERED, AS_ADMIN, type Asking, type Edge, edgeOf, errorOf, signed, WEBHOOK_SECRET } from './edge.ts'

const FINE = { server_id: 'demo', status: 'degraded' }

async function post(edge: Edge, path: string, { headers, body = FINE }: Asking) {
  const answer = await edge.ask(`/webhooks/${path}`, { method: 'POST', headers: headers ?? {}, body })
  return { status: answer.status, body: (await answer.json()) as { applied?: number; error?: { code: string } } }
}

/** What the fleet says of a server: its health, and whether it takes requests. */
async function stateOf(edge: Edge, id = 'demo') {
  const answer = await edge.ask(`/orchestration/servers/${id}/health`, { headers: AS_ADMIN })
  const { health_status, status } = (await answer.json()) as { health_status: string; status: string }
  return [health_status, status]
}

async function probed(): Promise<Edge> {
  const edge = await edgeOf(ADMINISTERED)
  await edge.pass(3000)
  return edge
}

describe('a signed webhook', () => {
  test('is accepted once, and refused when it is sent again', async () => {
    const edge = await probed()
    const headers = signed(FINE, edge.clock)

    const answers = [await post(edge, 'server_status', { headers }), await post(edge, 'server_status', { headers })]

    expect(answers.map(({ status }) => status)).toEqual([200, 401])
    expect(answers[0]?.body).toEqual({ received: true, applied: 1 } as object)
  })

  test('is taken with the byte order mark that it was signed with', async () => {
    const edge = await probed()
    const body = `\ufeff${JSON.stringify(FINE)}`
    const asking = { method: 'POST', headers: signed(body, edge.clock), body }

    expect((await edge.ask('/webhooks/server_status', asking)).status).toBe(200)
  })

  test('is taken as its standard signs it', () => {
    // The example of the Standard Webhooks libraries.
    const message = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', seconds: 1_614_265_330, body: '{"test": 2432232314}' }

    expect(signWebhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', message)).toBe(
      'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    )
  })

  test.each([
    ['without a signature', (fine: Record<string, string>) => ({ ...fine, 'webhook-signature': '' })],
    ['without an id', (fine: Record<string, string>) => ({ ...fine, 'webhook-id': '' })],
    ['without a time', (fine: Record<string, string>) => ({ ...fine, 'webhook-timestamp': '' })],
    ['with another id', (fine: Record<string, string>) => ({ ...fine, 'webhook-id': 'other' })],
    [
      'of another version',
      (fine: Record<string, string>) => ({ ...fine, 'webhook-signature': `v2${fine['webhook-signature']?.slice(2)}` }),
    ],
    ['with a key in its place', () => AS_ADMIN as Record<string, string>],
    ['with the secret in its place', () => ({ authorization: `Bearer ${WEBHOOK_SECRET}` })],
  ])('is refused %s', async (_, spoil) => {
    const edge = await probed()

    const { status, body } = await post(edge, 'server_status', { headers: spoil(signed(FINE, edge.clock)) })

    expect([status, body.error?.code]).toEqual([401, 'invalid_signature'])
    expect(await stateOf(edge)).toEqual(['healthy', 'active'])
  })

  test('is refused with another body', async () => {
    const edge = await probed()
    const headers = signed(FINE, edge.clock)

    expect((await post(edge, 'server_status', { headers, body: { ...FINE, status: 'unhealthy' } })).status).toBe(401)
  })

  test.each([
    [-301, 401],
    [-299, 200],
    [299, 200],
    [301, 401],
  ])('of %d seconds from now is answered with %d', async (seconds, status) => {
    const edge = await probed()
    const headers = signed(FINE, { time: () => edge.clock.time() + seconds * 1000 })

    expect((await post(edge, 'server_status', { headers })).status).toBe(status)
  })

  test('of a kind without a secret is refused, whatever its name', async () => {
    const edge = await edgeOf()

    for (const type of ['alertmanager', 'server_status', 'other', 'constructor', '__proto__']) {
      const { status } = await post(edge, type, { headers: signed(FINE, edge.clock) })
      expect(status, type).toBe(401)
    }
  })

  test('of any other kind with a secret is taken, and changes nothing', async () => {
    const edge = await probed()
    const body = { deployed: '1.2.3' }

    const answer = await post(edge, 'deploy', { headers: signed(body, edge.clock), body })

    expect(answer).toEqual({ status: 200, body: { received: true, applied: 0 } as object })
    expect(await (await edge.ask('/metrics')).text()).toContain('gateway_webhooks_received_total{ok="true"} 1')
  })
})

test('senders of two kinds with a password beside their signatures suffer from nobody who guesses at their address', async () => {
  const secrets = { deploy: WEBHOOK_SECRET, ship: WEBHOOK_SECRET }
  const edge = await edgeOf({
    ...ADMINISTERED,
    auth: { ...ADMINISTERED.auth, failures_per_minute: 3 },
    webhooks: { secrets },
  })
  const body = { version: '1.2.3' }
  const send = (kind: string) =>
    post(edge, kind, { headers: { ...signed(body, edge.clock), authorization: `Bearer of-${kind}` }, body })
  for (const kind of ['deploy', 'ship']) await send(kind)
  for (let n = 0; n < 5; n++) await post(edge, 'deploy', { headers: { authorization: `Bearer guess-${n}` }, body })

  expect([(await send('ship')).status, (await send('deploy')).status]).toEqual([200, 200])
})

describe('the status of a server', () => {
  const report = (edge: Edge, body: object) => post(edge, 'server_status', { headers: signed(body, edge.clock), body })

  test('is reported, drains it, and is undone', async () => {
    const edge = await probed()
    const states: string[][] = []

    for (const status of ['degraded', 'unhealthy', 'healthy']) {
      await report(edge, { server_id: 'demo', status })
      states.push(await stateOf(edge))
    }

    expect(states).toEqual([
      ['degraded', 'active'],
      ['healthy', 'draining'],
      ['healthy', 'active'],
    ])
  })

  test('of a server that is not there changes nothing', async () => {
    const edge = await probed()

    expect((await report(edge, { server_id: 'nobody', status: 'degraded' })).body).toEqual({
      received: true,
      applied: 0,
    } as object)
  })

  test('that makes no sense is refused', async () => {
    const edge = await probed()
    const body = { server_id: 'demo', status: 'fine' }
    const asking = { method: 'POST', headers: signed(body, edge.clock), body }

    const answer = await edge.ask('/webhooks/server_status', asking)

    expect(answer.status).toBe(400)
    expect((await errorOf(answer)).details).toEqual([{ path: 'status', message: expect.any(String) }])
  })
})

describe("Alertmanager's alerts", () => {
  const alert = (status: string, labels: object, fingerprint = 'f1') => ({
    status,
    labels: { alertname: 'HighLoad', ...labels },
    annotations: {},
    startsAt: '2026-01-01T00:00:00Z',
    endsAt: '0001-01-01T00:00:00Z',
    generatorURL: '',
    fingerprint,
  })
  const group = (...alerts: object[]) => ({ version: '4', groupKey: '{}', status: 'firing', receiver: 'r', alerts })
  const bearer = { authorization: `Bearer ${WEBHOOK_SECRET}` }
  const send = (edge: Edge, headers: Record<string, string>, ...alerts: object[]) =>
    post(edge, 'alertmanager', { headers, body: group(...alerts) })

  test('mark a server as degraded until the last of them is resolved', async () => {
    const edge = await probed()
    await send(edge, bearer, alert('firing', { server: 'demo' }), alert('firing', { server: 'demo' }, 'f2'))
    const firing = await stateOf(edge)
    await edge.pass(40_000)
    const probedAgain = await stateOf(edge)
    await send(edge, bearer, alert('resolved', { server: 'demo' }))
    const one = await stateOf(edge)
    await send(edge, bearer, alert('resolved', { server: 'demo' }, 'f2'))

    expect([firing, probedAgain, one]).toEqual([
      ['degraded', 'active'],
      ['degraded', 'active'],
      ['degraded', 'active'],
    ])
    expect(await stateOf(edge)).toEqual(['healthy', 'active'])
  })

  test('drain it where their label says so, and never undo what an operator did', async () => {
    const edge = await probed()
    const drain = { server: 'demo', action: 'drain' }
    await send(edge, bearer, alert('firing', drain))
    const firing = await stateOf(edge)
    await edge.ask('/orchestration/failover/demo', { method: 'POST', headers: AS_ADMIN })
    await send(edge, bearer, alert('resolved', drain))
    const drained = await stateOf(edge)
    await edge.ask('/orchestration/recover/demo', { method: 'POST', headers: AS_ADMIN })

    expect([firing, drained]).toEqual([
      ['healthy', 'draining'],
      ['healthy', 'draining'],
    ])
    expect(await stateOf(edge)).toEqual(['healthy', 'active'])
  })

  test('without a server, or of one that is not there, change nothing', async () => {
    const edge = await probed()

    const { body } = await send(edge, bearer, alert('firing', {}), alert('firing', { server: 'nobody' }, 'f2'))

    expect(body.applied).toBe(0)
  })

  test('are told apart by their labels where they have no other mark, and counted', async () => {
    const edge = await probed()
    const [hot, slow] = ['Hot', 'Slow'].map(alertname => ({ server: 'demo', alertname }))
    const bare = (status: string, labels: object = {}) => ({ ...alert(status, labels), fingerprint: undefined })

    const both = await send(edge, bearer, bare('firing', hot), bare('firing', slow))
    await send(edge, bearer, bare('resolved', slow))
    const one = await stateOf(edge)
    await send(edge, bearer, bare('resolved', hot))

    expect([both.body.applied, one]).toEqual([2, ['degraded', 'active']])
    expect(await stateOf(edge)).toEqual(['healthy', 'active'])
  })

  const carriers: readonly (readonly [string, Record<string, string>, number])[] = [
    ['the secret as a bearer token', bearer, 200],
    ['the secret as a password', { authorization: `Basic ${btoa(`citadel:${WEBHOOK_SECRET}`)}` }, 200],
    ['another bearer token', { authorization: 'Bearer other' }, 401],
    ['another password', { authorization: `Basic ${btoa('citadel:other')}` }, 401],
    ['another scheme', { authorization: `Digest ${WEBHOOK_SECRET}` }, 401],
    ['nothing', {}, 401],
  ]

  test.each(carriers)('are answered by the credential: %s', async (_, headers, status) => {
    expect((await send(await probed(), headers)).status).toBe(status)
  })

  test.each(['alertmanager', 'alert%6danager'])('at /webhooks/%s cannot be had by guessing', async path => {
    const edge = await edgeOf({ ...ADMINISTERED, auth: { ...ADMINISTERED.auth, failures_per_minute: 3 } })
    const alerting = { headers: bearer, body: group() }
    const guess = (n: number) => post(edge, path, { ...alerting, headers: { authorization: `Bearer guess-${n}` } })
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) statuses.push((await guess(n)).status)
    const held = await post(edge, path, alerting)
    await edge.pass(20_000)
    const free = await post(edge, path, alerting)
    for (let n = 0; n < 5; n++) await guess(n)

    expect(statuses).toEqual([401, 401, 401, 429, 429])
    expect([held.status, free.status]).toEqual([429, 200])
    // Whose password was good suffers from nobody who guesses at the same address.
    expect((await post(edge, path, alerting)).status).toBe(200)
    expect((await guess(9)).status).toBe(429)
    const elsewhere = { method: 'POST', ...alerting, from: '203.0.113.8' }
    expect((await edge.ask(`/webhooks/${path}`, elsewhere)).status).toBe(200)
  })

  test('cannot be had by guessing where names of kinds are made up in between', async () => {
    const edge = await edgeOf({ ...ADMINISTERED, auth: { ...ADMINISTERED.auth, failures_per_minute: 3 } })
    const statuses: number[] = []
    for (const kind of ['one', 'two', 'alertmanager', 'three'])
      statuses.push((await post(edge, kind, { headers: { authorization: 'Bearer guess' }, body: group() })).status)

    expect(statuses).toEqual([401, 401, 401, 429])
  })

  test('may be signed in place of the bearer token', async () => {
    const edge = await probed()

    expect((await post(edge, 'alertmanager', { headers: signed(group(), edge.clock), body: group() })).status).toBe(200)
  })
})
