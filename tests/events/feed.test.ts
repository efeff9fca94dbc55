import { expect, test } from 'bun:test'
import type { EventStore, FleetEvent } from '#core/events.ts'
import { createFeed, type NewObservation } from '#events/feed.ts'
import { createIds } from '#lib/id.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

function seen(server: string, state: string): NewObservation {
  const event = { type: 'health_status_changed', server, data: { to: state } } as const
  return { series: `health:${server}`, state, initially: 'healthy', event }
}

function feedOver(store: EventStore, clock = fakeClock(), shared = true) {
  const kept: string[] = []
  const told: FleetEvent[] = []
  const feed = createFeed({
    store,
    clock,
    shared,
    journal: { note: fact => fact.type === 'event-kept' && kept.push(`${fact.event.server}`) },
  })
  const unfollow = feed.follow(event => told.push(event))
  return { feed, clock, kept, told, unfollow }
}

test('events that were seen while the store is away are kept when it is back, in order and with their times', async () => {
  const memory = createMemoryEvents({ entriesMax: 10, newId: createIds() })
  let away = true
  const add: EventStore['add'] = async (...change) => {
    if (away) throw new Error('away')
    return memory.add(...change)
  }
  const { feed, clock, kept, told } = feedOver({ ...memory, add })

  feed.observe([seen('a', 'unhealthy')])
  feed.observe([seen('b', 'unhealthy')])
  await settled()
  expect(kept).toEqual([])
  away = false
  clock.advance(1000)
  await settled(10)

  expect(kept).toEqual(['a', 'b'])
  expect(told.map(({ server }) => server)).toEqual(['a', 'b'])
  expect(told[0]?.at).toBe(Date.UTC(2026, 0, 1))
  feed.stop()
})

test('a store that is away is tried once a second, however much there is to keep', async () => {
  let tries = 0
  const add: EventStore['add'] = async () => {
    tries++
    throw new Error('away')
  }
  const { feed, clock } = feedOver({ ...createMemoryEvents({ entriesMax: 10, newId: createIds() }), add })
  for (const server of ['a', 'b', 'c']) {
    feed.observe([seen(server, 'unhealthy')])
    await settled()
    clock.advance(100)
  }
  const before = tries

  for (let tenth = 0; tenth < 30; tenth++) {
    clock.advance(100)
    await settled()
  }

  expect(tries - before).toBe(3)
  feed.stop()
  expect(clock.pending).toBe(0)
})

test('an event of another process is reported within a second, and once', async () => {
  const store = createMemoryEvents({ entriesMax: 10, newId: createIds() })
  const clock = fakeClock()
  const [mine, other] = [feedOver(store, clock), feedOver(store, clock)]

  other.feed.observe([seen('a', 'unhealthy')])
  mine.feed.observe([seen('a', 'unhealthy')])
  await settled()
  for (let second = 0; second < 3; second++) {
    clock.advance(1000)
    await settled()
  }

  expect([mine.kept, other.kept].flat()).toEqual(['a'])
  expect(mine.told).toEqual(other.told)
  expect(mine.told).toHaveLength(1)
  for (const { feed } of [mine, other]) feed.stop()
})

test('an event that the store could not give to the followers is given a second later, also by a process alone', async () => {
  const store = createMemoryEvents({ entriesMax: 10, newId: createIds() })
  let away = true
  const list: EventStore['list'] = async page => {
    if (away) throw new Error('away')
    return store.list(page)
  }
  const { feed, clock, told } = feedOver({ ...store, list }, fakeClock(), false)

  feed.observe([seen('a', 'unhealthy')])
  await settled()
  away = false
  clock.advance(1000)
  await settled()

  expect(told.map(({ server }) => server)).toEqual(['a'])
  expect(clock.pending).toBe(0)
  feed.stop()
})

test('the store is not asked for events of other processes while nobody follows them', async () => {
  const store = createMemoryEvents({ entriesMax: 10, newId: createIds() })
  let looks = 0
  const list: EventStore['list'] = page => {
    looks++
    return store.list(page)
  }
  const { clock, unfollow } = feedOver({ ...store, list })
  clock.advance(1000)
  await settled()

  unfollow()
  clock.advance(10_000)
  await settled()

  expect(looks).toBe(1)
  expect(clock.pending).toBe(0)
})

test('when too many events wait for the store, the oldest are dropped, also while one is being kept', async () => {
  const memory = createMemoryEvents({ entriesMax: 2000, newId: createIds() })
  const answers: (() => void)[] = []
  const add: EventStore['add'] = async (...change) => {
    if (answers.length === 0) await new Promise<void>(resolve => answers.push(resolve))
    return memory.add(...change)
  }
  const { feed, kept } = feedOver({ ...memory, add })

  for (let at = 0; at <= 1000; at++) feed.observe([seen(`${at}`, 'unhealthy')])
  await settled()
  answers[0]?.()
  await settled(50)

  expect(kept).toEqual(Array.from({ length: 1001 }, (_, at) => `${at}`))
  feed.stop()
})

test('a follower gets nothing that is older than the clocks of other processes may be late', async () => {
  const store = createMemoryEvents({ entriesMax: 10, newId: createIds() })
  const clock = fakeClock()
  const first = feedOver(store, clock)
  first.unfollow()
  for (const server of ['long ago', 'just now']) {
    first.feed.observe([seen(server, 'unhealthy')])
    await settled()
    clock.advance(6000)
  }

  const second = feedOver(store, clock)
  clock.advance(1000)
  await settled()

  expect(second.told.map(({ server }) => server)).toEqual(['just now'])
  for (const { feed } of [first, second]) feed.stop()
})
