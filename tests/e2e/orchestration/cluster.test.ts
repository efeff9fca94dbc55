import { afterAll, beforeAll, expect, test } from 'bun:test'
import { isSignedBy } from '#lib/standard-webhooks.ts'
import { ADMIN, manage, type ReadEvent, readEvents, register, until } from './fleet.ts'
import { call, startLoad } from './load.ts'
import { type GatewayProcess, HOLD, type Member, PROBE, SECRET, startMembers, startWorld, type World } from './world.ts'

const LONG_MS = 30_000
/** From the last good probe to the third bad one that runs into its timeout, and what a busy machine adds. */
const SEEN_WITHIN_MS = PROBE.every + PROBE.failures * Math.max(PROBE.every, PROBE.timeout) + 3000

let world: World
beforeAll(async () => {
  world = await startWorld(3)
}, 60_000)
afterAll(() => world[Symbol.asyncDispose]())

/** Registers every server, each with another gateway, and waits until all gateways route to all of them; the first has
 * twice the weight of another one. */
async function registerAll({ gateways }: World, members: readonly Member[]): Promise<void> {
  for (const [index, member] of members.entries()) {
    const { url } = gateways[index % gateways.length] ?? { url: '' }
    const { status } = await register(url, member.id, member, { weight: index === 0 ? 2 : 1 })
    expect(status).toBe(200)
  }
  for (const gateway of gateways) for (const { id } of members) await untilHealth(gateway, id, 'healthy')
}

async function untilHealth({ url }: GatewayProcess, id: string, health: string): Promise<void> {
  const isSo = async () => {
    const { body } = await manage(url, 'GET', `/orchestration/servers/${id}/health`)
    return body.health_status === health && (body.models ?? []).length > 0
  }
  await until(`${id} is ${health}`, isSo, LONG_MS)
}

/** The types of the events of one server, in their order, but for those of its load. */
function typesOf(events: readonly ReadEvent[], server: string): readonly string[] {
  const own = events.filter(event => event.server === server && event.type !== 'load_threshold_exceeded')
  return own.map(({ type }) => type)
}

/** What the health of a server changed to. */
function healthOf(events: readonly ReadEvent[], server: string): readonly unknown[] {
  return events.flatMap(event =>
    event.server === server && event.type === 'health_status_changed' ? [event.data.to] : [],
  )
}

/** Every event is delivered once, signed, in the order in which the stream tells them. */
async function expectDelivered({ hook }: World, events: readonly ReadEvent[]): Promise<void> {
  const [first, last] = [events[0]?.id ?? '', events.at(-1)?.id ?? '']
  await until('the webhook has all events', () => hook.taken.some(({ id }) => id === last), LONG_MS)
  const taken = hook.taken.filter(({ id }) => id >= first && id <= last)
  expect(taken.map(({ id }) => id)).toEqual(events.map(({ id }) => id))
  for (const { id, headers, body } of taken) {
    const message = { id, seconds: Number(headers['webhook-timestamp']), body }
    expect(isSignedBy(SECRET, message, headers['webhook-signature'] ?? '')).toBe(true)
  }
}

function rising(events: readonly ReadEvent[]): boolean {
  return events.every(({ id }, index) => index === 0 || id > (events[index - 1]?.id ?? ''))
}

/** Opens a stream at a server that waits behind its first text.
 *
 * @returns The rest of its text, once it is let go. */
async function hold({ url }: GatewayProcess, model: string, { id }: Member): Promise<() => Promise<string>> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN}`, 'x-citadel-server': id },
    body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: HOLD }] }),
  })
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while (!text.includes('one ')) text += (await reader?.read())?.value ?? ''
  return async () => {
    for (let { done, value } = (await reader?.read()) ?? { done: true, value: '' }; !done; ) {
      text += value
      ;({ done, value } = (await reader?.read()) ?? { done: true, value: '' })
    }
    return text
  }
}

test('three gateways keep six servers: some die, hang, slow down, are drained and come back', async () => {
  const { gateways, hook } = world
  const members = await startMembers(6, 'six')
  const [a, b, c] = gateways
  const [, s2, s3, s4, s5, s6] = members
  if (!a || !b || !c || !s2 || !s3 || !s4 || !s5 || !s6) throw new Error('the world is too small')
  const readers = [await readEvents(a.url), await readEvents(b.url)]
  const [whole, broken] = readers
  if (!whole || !broken) throw new Error('no readers')

  // Registered here and there, known everywhere, and each with its share.
  await registerAll(world, members)
  for (const gateway of gateways) await Promise.all(Array.from({ length: 70 }, () => call(gateway.url, 'six', false)))
  for (const [index, { calls }] of members.entries()) {
    expect(Math.abs(calls / 210 - (index === 0 ? 2 : 1) / 7)).toBeLessThan(0.03)
  }

  let used = [a, b, c]
  const load = startLoad('six', 40, () => used.map(({ url }) => url))
  const has = (type: string, server: string) => () => whole.has(type, server)

  // One dies, one hangs, one slows down.
  await s2.kill()
  s3.mood = 'hangs'
  s4.mood = 'slow'
  for (const id of ['six-2', 'six-3']) await until(`${id} fails over`, has('failover_completed', id), LONG_MS)
  await until('s4 is slow', () => healthOf(whole.events, 'six-4').includes('degraded'), LONG_MS)
  for (const gateway of gateways) {
    await untilHealth(gateway, 'six-2', 'unhealthy')
    await untilHealth(gateway, 'six-3', 'unhealthy')
  }

  // One is drained at one gateway while another has a stream there.
  const rest = await hold(c, 'six', s5)
  await manage(a.url, 'POST', '/orchestration/failover/six-5')
  await until('s5 is drained', has('failover_initiated', 'six-5'))
  for (const { url } of gateways) {
    const status = async () => (await manage(url, 'GET', '/orchestration/servers/six-5/health')).body.status
    await until('every gateway drains it', async () => (await status()) === 'draining')
  }
  const [drainedAt, answered] = [s5.calls, load.outcomes.length]
  await until('calls go on', () => load.outcomes.length > answered + 60)
  expect(s5.calls - drainedAt).toBeLessThanOrEqual(gateways.length)

  // A gateway dies, the one that began to deliver, and one more server while it is away.
  await until('all is delivered', () => hook.taken.length === whole.events.length, LONG_MS)
  used = [b, c]
  await load.over(a.url)
  await a.kill()
  await s6.kill()
  await until('s6 fails over', () => broken.has('failover_completed', 'six-6'), LONG_MS)
  expect(broken.has('failover_completed', 'six-5')).toBe(false)
  s5.held.open()
  expect(await rest()).toContain('[DONE]')
  await until('s5 is empty', () => broken.has('failover_completed', 'six-5'), LONG_MS)
  await a.start()
  used = [a, b, c]
  await whole.stop()
  const again = await readEvents(a.url, whole.events.at(-1)?.id)

  // All come back.
  await manage(b.url, 'POST', '/orchestration/recover/six-5')
  await until('s5 has a share again', () => again.has('cluster_rebalanced', 'six-5'))
  await Promise.all([s2.revive(), s6.revive()])
  s3.mood = 'well'
  s4.mood = 'well'
  for (const gateway of gateways) for (const { id } of members) await untilHealth(gateway, id, 'healthy')
  const before = members.map(({ calls }) => calls)
  await until('all get calls', () => members.every(({ calls }, index) => calls > (before[index] ?? 0)), LONG_MS)
  await load.stop()

  const back = ['six-2', 'six-3', 'six-6']
  await until('all that came back are told of', () =>
    back.every(id => healthOf(broken.events, id).at(-1) !== 'unhealthy'),
  )
  await until('both readers know the same', () => broken.events.length === whole.events.length + again.events.length)
  // On a busy machine a probe may be slow, and told of, at any time from here on.
  const events = [...whole.events, ...again.events]
  expect(load.outcomes.filter(({ problem }) => problem !== null)).toEqual([])
  expect(load.outcomes.length).toBeGreaterThan(100)
  expect(rising(broken.events)).toBe(true)
  const told = [...broken.events]
  expect(events.map(({ id }) => id)).toEqual(told.map(({ id }) => id))
  for (const { id } of members) expect(typesOf(events, id)[0]).toBe('server_registered')
  for (const id of back) {
    // On a busy machine probes are slow now and then, which is no loss.
    const health = healthOf(events, id)
    expect(health.filter(to => to === 'unhealthy')).toHaveLength(1)
    const types = typesOf(events, id).filter(type => type.startsWith('failover'))
    expect(types).toEqual(['failover_initiated', 'failover_completed'])
  }
  expect(
    typesOf(events, 'six-5')
      .filter(type => type !== 'health_status_changed')
      .slice(-4),
  ).toEqual(['failover_initiated', 'cluster_rebalanced', 'failover_completed', 'cluster_rebalanced'])
  const last = events.findLast(({ type }) => type === 'cluster_rebalanced')
  const expected = members.map(({ id }, index) => [id, index === 0 ? 0.2857 : 0.1429])
  expect(last?.data.shares).toEqual(Object.fromEntries(expected))
  await expectDelivered(world, told)
  expect(hook.refused).toBe(2)
  await Promise.all([broken.stop(), again.stop()])
  await leave(world, members)
}, 60_000)

/** Takes the servers away again. */
async function leave({ gateways: [first] }: World, members: readonly Member[]): Promise<void> {
  for (const { id } of members) await manage(first?.url ?? '', 'DELETE', `/orchestration/servers/${id}`)
  await Promise.all(members.map(member => member.kill()))
}

/** What was told until the failover of a server was complete. */
function upToFailover(events: readonly ReadEvent[], server: string): readonly ReadEvent[] {
  return events.slice(0, events.findIndex(each => each.server === server && each.type === 'failover_completed') + 1)
}

test('of three servers one is killed at 200 requests a second: nobody notices', async () => {
  const { gateways } = world
  const members = await startMembers(3, 'three')
  const [victim] = members
  if (victim === undefined) throw new Error('no server')
  await registerAll(world, members)
  const readers = await Promise.all(gateways.map(({ url }) => readEvents(url)))
  const detailed = await (await fetch(`${gateways[0]?.url}/health/detailed`)).json()
  expect(detailed).toMatchObject({
    dependencies: { database: { available: true }, redis: { available: true }, vectors: { status: 'not_configured' } },
  })
  const load = startLoad('three', 200, () => gateways.map(({ url }) => url))
  await until('calls are answered', () => load.outcomes.length > 200, LONG_MS)

  const killedAt = Date.now()
  await victim.kill()
  await until('it is failed over', () => readers.every(reader => reader.has('failover_completed', victim.id)), LONG_MS)
  await load.stop()

  const [events = [], ...same] = readers.map(reader => upToFailover(reader.events, victim.id))
  const lost = events.findIndex(({ server, data }) => server === victim.id && data.to === 'unhealthy')
  expect(load.outcomes.filter(({ problem }) => problem !== null)).toEqual([])
  expect(load.outcomes.filter(({ attempts }) => attempts > 1).length).toBeGreaterThan(0)
  expect(typesOf(events.slice(lost), victim.id)).toEqual([
    'health_status_changed',
    'failover_initiated',
    'cluster_rebalanced',
    'failover_completed',
  ])
  expect(Date.parse(events[lost]?.at ?? '') - killedAt).toBeLessThan(SEEN_WITHIN_MS)
  const late = load.outcomes.filter(({ attempts, endedAt }) => attempts > 1 && endedAt - killedAt > SEEN_WITHIN_MS)
  expect(late).toEqual([])
  for (const each of same) expect(each).toEqual([...events])
  await expectDelivered(world, events)
  await Promise.all(readers.map(reader => reader.stop()))
  await leave(world, members)
}, 60_000)
