import { expect, test } from 'bun:test'
import type { Clock } from '#core/clock.ts'
import type { Account, Hold, HoldVerdict } from '#core/ledger.ts'
import { createDesk } from '#gateway/ledger/desk.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const account: Account = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }

/** A desk before a store that answers, fails or says nothing. */
function deskOf() {
  const clock = fakeClock()
  const state = { answer: 'well' as 'well' | 'fails' | 'silent', asked: 0 }
  const shared = createMemoryLedger()
  const store = {
    ...shared,
    hold(hold: Hold): HoldVerdict | Promise<HoldVerdict> {
      state.asked++
      if (state.answer === 'fails') return Promise.reject(new Error('away'))
      return state.answer === 'silent' ? new Promise<HoldVerdict>(() => {}) : shared.hold(hold)
    },
  }
  const desk = createDesk({ clock, store, local: createMemoryLedger() })
  let made = 0
  const hold = (nano: number) => desk.hold({ request: `r${++made}`, accounts: [account], nano, expiresAt: 1e9 })
  return { clock, state, hold }
}

test('gives what is left when the store was last heard, and no more, while it is away', async () => {
  const { state, hold } = deskOf()
  await hold(600)
  state.answer = 'fails'

  const verdicts = [await hold(300), await hold(300), await hold(100)]

  expect(verdicts.map(({ refused }) => refused === null)).toEqual([true, false, true])
  expect(state.asked).toBe(2)
})

test('waits 300 ms once, then asks again with one call every two seconds', async () => {
  const { clock, state, hold } = deskOf()
  state.answer = 'silent'
  const first = hold(1)
  clock.advance(300)
  await first
  for (let call = 0; call < 10; call++) await hold(1)
  const asked = state.asked
  clock.advance(2000)
  const looking = hold(1)
  for (let call = 0; call < 10; call++) await hold(1)
  clock.advance(300)
  await looking

  expect([asked, state.asked]).toEqual([1, 2])
})

test('asks for each call again once the store answers', async () => {
  const { clock, state, hold } = deskOf()
  state.answer = 'fails'
  await hold(1)
  state.answer = 'well'
  clock.advance(2000)
  await hold(1)
  await settled()
  await Promise.all([hold(1), hold(1)])

  expect(state.asked).toBe(4)
})

test('asks for each call from the first one on, also while another is asked for', async () => {
  const { state, hold } = deskOf()

  const verdicts = await Promise.all([hold(600), hold(600)])

  expect([state.asked, verdicts.map(({ refused }) => refused === null)]).toEqual([2, [true, false]])
})

test('lets go of what the store holds for a call that went on without it', async () => {
  const clock = fakeClock()
  const shared = createMemoryLedger()
  const answer = Promise.withResolvers<void>()
  const store = {
    ...shared,
    async hold(hold: Hold): Promise<HoldVerdict> {
      await answer.promise
      return shared.hold(hold)
    },
  }
  const desk = createDesk({ clock, store, local: createMemoryLedger() })
  const call = desk.hold({ request: 'a', accounts: [account], nano: 1000, expiresAt: clock.time() + 600_000 })
  clock.advance(300)
  await call
  answer.resolve()
  await settled()

  expect([await shared.expire(clock.time()), await shared.holds()]).toEqual([1, 0])
})

test('does not take the store to be away because this process is busy', async () => {
  const timers = new Map<() => void, number>()
  let now = 0
  const clock: Clock = {
    now: () => now,
    time: () => now,
    after(ms, run) {
      timers.set(run, now + ms)
      return () => timers.delete(run)
    },
  }
  /** A turn of an event loop that is late: what is due, each once, and then what has arrived. */
  const turn = async () => {
    now += 100
    for (const [run, due] of [...timers]) {
      if (due > now) continue
      timers.delete(run)
      run()
    }
    await settled(1)
  }
  const shared = createMemoryLedger()
  const store = {
    ...shared,
    // It is asked six things, each of which is answered at once.
    async hold(hold: Hold): Promise<HoldVerdict> {
      for (let question = 0; question < 6; question++) await turn()
      return shared.hold(hold)
    },
  }
  const desk = createDesk({ clock, store, local: createMemoryLedger() })

  await desk.hold({ request: 'a', accounts: [account], nano: 900, expiresAt: 1e9 })

  expect(await shared.holds()).toBe(1)
  expect((await desk.hold({ request: 'b', accounts: [account], nano: 900, expiresAt: 1e9 })).refused).toEqual(account)
})
