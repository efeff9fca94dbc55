import { expect, test } from 'bun:test'
import type { Head } from '#core/upkeep.ts'
import { startUpkeep } from '#gateway/ledger/upkeep.ts'
import { createMemoryLedger } from '#stores/memory-ledger.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const ACCOUNT = { id: 'key:shop/web', tenant: 'shop', period: '2026-01', cap: 1000, resetsAt: 0 }
const DAY_MS = 86_400_000
const HEAD: Head = { chain: 'other', seq: 7, hash: '' }

/** The upkeep of one process over a real ledger; what it does is told in its order. */
function upkeepOf(
  state: { leads?: boolean; fails?: boolean; old?: readonly Head[]; due?: boolean; steadyMs?: number } = {},
) {
  const clock = fakeClock()
  const ledger = createMemoryLedger()
  const done: string[] = []
  const written = Promise.withResolvers<void>()
  // What it says of the chains is a row of its own.
  let said = 0
  const at = (ms: number) => new Date(ms).toISOString().slice(0, 10)
  const stop = startUpkeep({
    clock,
    owner: 'own',
    ledger,
    upkeep: {
      async lead() {
        if (state.fails) throw new Error('away')
        return state.leads ?? true
      },
      isTrimDue: async () => state.due ?? true,
      heads: async before => (before === undefined ? [HEAD, { ...HEAD, chain: 'own', seq: said }] : (state.old ?? [])),
      trim: async (heads, before, month) =>
        void done.push(`trim ${heads.length} of before ${at(before)}, budgets before ${month}`),
    },
    retentionMs: () => 10 * DAY_MS,
    steadyMs: state.steadyMs ?? 0,
    checkpoint(action, heads) {
      said++
      done.push(`${action} ${heads.length}`)
    },
    flush: () => {
      done.push('flush')
      return written.promise
    },
  })
  const pass = async (ms: number) => {
    clock.advance(ms)
    await settled()
  }
  return { clock, ledger, done, written, stop, pass }
}

const TRIMMED = 'trim 0 of before 2025-12-22, budgets before 2025-12'

test('every process gives back the holds whose time is over, also one that does nothing else', async () => {
  const { clock, ledger, done, stop, pass } = upkeepOf({ leads: false })
  await ledger.hold({ request: 'left', accounts: [ACCOUNT], nano: 900, expiresAt: clock.time() + 1000 })
  await pass(0)
  const before = ledger.holds()
  await pass(30_000)

  expect([before, ledger.holds(), done]).toEqual([1, 0, []])
  stop()
})

test('one process tells where chains stand when that is news, and removes what is old once an hour', async () => {
  const { done, stop, pass } = upkeepOf()
  await pass(0)
  const first = done.splice(0)
  for (let minute = 0; minute <= 10; minute++) await pass(60_000)
  const steady = done.splice(0)
  for (let minute = 0; minute < 59; minute++) await pass(60_000)
  const hour = done.splice(0)
  await pass(60_000)

  expect([first, steady, hour, done]).toEqual([['heads 2'], [TRIMMED], [], [TRIMMED]])
  stop()
})

test('nothing is removed by a clock that is wrong at the start, or for a while', async () => {
  const { clock, done, stop, pass } = upkeepOf()
  const minutes = async (count: number) => {
    for (let minute = 0; minute < count; minute++) await pass(60_000)
  }
  clock.jump(10 * 365 * DAY_MS)
  await minutes(9)
  clock.jump(-10 * 365 * DAY_MS)
  await minutes(55)
  const right = done.splice(0)
  clock.jump(10 * 365 * DAY_MS)
  await minutes(9)
  clock.jump(-10 * 365 * DAY_MS)
  await minutes(9)

  expect([right, done]).toEqual([['heads 2', TRIMMED], []])
  await minutes(2)
  expect(done).toEqual([TRIMMED])
  stop()
})

test('a process that begins while the clock is known to be right removes what is old at once', async () => {
  const { done, stop, pass } = upkeepOf({ steadyMs: 600_000 })
  await pass(0)

  expect(done).toEqual(['heads 2', TRIMMED])
  stop()
})

test('what another process has removed in the same hour is left alone', async () => {
  const state = { due: false }
  const { done, stop, pass } = upkeepOf(state)
  for (let minute = 0; minute <= 10; minute++) await pass(60_000)
  const before = done.splice(0)
  state.due = true
  await pass(60_000)

  expect([before, done]).toEqual([['heads 2'], [TRIMMED]])
  stop()
})

test('rows are removed only once it is written that they are', async () => {
  const { done, written, stop, pass } = upkeepOf({ old: [HEAD] })
  for (let minute = 0; minute <= 10; minute++) await pass(60_000)
  const before = done.splice(0)
  written.resolve()
  await settled()

  expect([before, done]).toEqual([['heads 2', 'trimmed 1', 'flush'], [TRIMMED.replace('trim 0', 'trim 1')]])
  stop()
})

test('what fails is done the next time, until it is stopped', async () => {
  const state = { fails: true }
  const { done, stop, pass } = upkeepOf(state)
  await pass(0)
  const before = done.splice(0)
  state.fails = false
  for (let minute = 0; minute <= 10; minute++) await pass(60_000)
  const then = done.splice(0)
  stop()
  await pass(10 * 3_600_000)

  expect([before, then, done]).toEqual([[], ['heads 2', TRIMMED], []])
})
