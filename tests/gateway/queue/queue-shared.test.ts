import { expect, test } from 'bun:test'
import type { Candidate } from '#core/attempt.ts'
import type { Places } from '#core/places.ts'
import { createScope } from '#core/scope.ts'
import { createQueue } from '#gateway/queue/queue.ts'
import { createStates } from '#registry/states.ts'
import { model, target, timeouts } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const one = target('a', { maxConcurrent: 1, timeouts: { ...timeouts, queue: 60_000 } })

/** Two processes before one target with one place. */
function setup() {
  const clock = fakeClock()
  const waits = [0, 0]
  let taken = 0
  const placesOf = (own: number): Places => ({
    answersIn: 0,
    has: () => taken === 0,
    take: () => taken === 0 && taken++ === 0,
    free: () => void taken--,
    waiting(count) {
      waits[own] = count
      return waits[1 - own] ?? 0
    },
  })
  const processes = [0, 1].map(own => {
    const queue = createQueue({ states: createStates(), clock, available: () => true, places: placesOf(own) })
    const only = model('m', [one])
    const candidates: Candidate[] = [{ target: one, model: only, reason: '' }]
    return {
      ask: async () => {
        const wait = { caller: 'a', priority: 'normal', waited() {} } as const
        return queue.slotsFor(wait).take(candidates, createScope(clock))
      },
    }
  })
  const [first, second] = processes
  if (first === undefined || second === undefined) throw new Error('there are two')
  return { clock, first, second, waits }
}

test('a place that another process frees is taken within 10 ms', async () => {
  const { clock, first, second } = setup()
  const held = await first.ask()
  let found = false
  void second.ask().then(() => {
    found = true
  })
  await settled()
  held.release()
  clock.advance(10)
  await settled()

  expect(found).toBe(true)
})

test('two processes get freed places in proportion to their waiting calls', async () => {
  const counts = [45, 15]
  const { clock, first, second, waits } = setup()
  const served = [0, 0]
  const held = await first.ask()
  /** Each that gets the place gives it back after a while. */
  const add = (process: typeof first, index: number) => {
    for (let at = 0; at < (counts[index] ?? 0); at++) {
      void process.ask().then(slot => {
        served[index] = (served[index] ?? 0) + 1
        clock.after(25, slot.release.bind(slot))
      })
    }
  }
  add(first, 0)
  add(second, 1)
  await settled()
  const waiting = [...waits]
  held.release()
  while ((served[0] ?? 0) + (served[1] ?? 0) < 40) {
    clock.advance(5)
    await settled()
  }

  expect(waiting).toEqual(counts)
  for (const [index, each] of served.entries()) {
    expect(Math.abs(each - ((counts[index] ?? 0) * 40) / 60)).toBeLessThanOrEqual(2)
  }
})

test('other processes are told when no call waits here any more', async () => {
  const { clock, first, second, waits } = setup()
  const held = await first.ask()
  const waiting = second.ask()
  await settled()
  const before = [...waits]
  held.release()
  clock.advance(10)
  await waiting

  expect([before, waits]).toEqual([
    [0, 1],
    [0, 0],
  ])
})

test('calls that wait in another process for other targets do not delay this one', async () => {
  const clock = fakeClock()
  const places: Places = { answersIn: 0, has: () => true, take: () => true, free() {}, waiting: () => 1000 }
  const queue = createQueue({ states: createStates(), clock, available: () => true, places })
  const many = target('a', { maxConcurrent: 50, timeouts: { ...timeouts, queue: 60_000 } })
  const candidates: Candidate[] = [{ target: many, model: model('m', [many]), reason: '' }]
  let served = 0
  for (let at = 0; at < 200; at++) {
    const wait = { caller: 'a', priority: 'normal', waited() {} } as const
    void Promise.resolve(queue.slotsFor(wait).take(candidates, createScope(clock))).then(slot => {
      served++
      clock.after(20 + (at % 20), slot.release.bind(slot))
    })
  }
  while (served < 200) {
    clock.advance(1)
    await settled()
  }

  // Four turns of 40 ms at most, and what is left to the others for 20 ms each time.
  expect(clock.now()).toBeLessThan(300)
})

test('a call whose place another process takes at the last moment goes on waiting', async () => {
  const clock = fakeClock()
  let free = false
  let snatched = 0
  const places: Places = {
    answersIn: 0,
    has: () => free,
    take: () => free && snatched-- <= 0,
    free() {},
    waiting: () => 0,
  }
  const queue = createQueue({ states: createStates(), clock, available: () => true, places })
  const only = model('m', [one])
  const ask = (caller: string) => {
    const outcome = { caller, ended: 'waiting' }
    const wait = { caller, priority: 'normal', waited() {} } as const
    Promise.resolve(queue.slotsFor(wait).take([{ target: one, model: only, reason: '' }], createScope(clock))).then(
      () => {
        outcome.ended = 'served'
      },
      ({ code }: { code: string }) => {
        outcome.ended = code
      },
    )
    return outcome
  }
  const outcome = ask('a')
  await settled()
  free = true
  snatched = 1
  clock.advance(10)
  await settled()
  const after = [outcome.ended, queue.depth()]
  clock.advance(10)
  await settled()

  expect(after).toEqual(['waiting', 1])
  expect(outcome.ended).toBe('served')
})

test('a call with a queue timeout of 0 waits for the shared places to answer, and is then served or refused', async () => {
  const clock = fakeClock()
  const hurried = target('a', { maxConcurrent: 1, timeouts: { ...timeouts, queue: 0 } })
  let free = false
  const places: Places = { answersIn: 100, has: () => free, take: () => free, free() {}, waiting: () => 0 }
  const queue = createQueue({ states: createStates(), clock, available: () => true, places })
  const only = model('m', [hurried])
  const ask = () => {
    const wait = { caller: 'a', priority: 'normal', waited() {} } as const
    const taken = queue.slotsFor(wait).take([{ target: hurried, model: only, reason: '' }], createScope(clock))
    return Promise.resolve(taken).then(
      slot => slot,
      ({ code }: { code: string }) => code,
    )
  }
  const refused = ask()
  await settled()
  clock.advance(100)
  const served = ask()
  await settled()
  free = true
  queue.granted(1)

  expect(await refused).toBe('queue_full')
  expect(await served).toBeObject()
})

test('no place is asked for at a target that is out', async () => {
  const clock = fakeClock()
  const asked: string[] = []
  const places: Places = {
    answersIn: 0,
    has: ({ id }) => asked.push(id) < 0,
    take: () => false,
    free() {},
    waiting: () => 0,
  }
  const down = target('b', { maxConcurrent: 1 })
  const queue = createQueue({ states: createStates(), clock, available: ({ id }) => id !== down.id, places })
  const only = model('m', [one, down])
  const [open, later] = [one, down].map(each => [{ target: each, model: only, reason: '' }])
  const wait = { caller: 'a', priority: 'normal', waited() {} } as const
  void queue.slotsFor(wait).take(open ?? [], createScope(clock), later)
  clock.advance(10)
  await settled()

  expect(asked).toEqual([one.id])
})
