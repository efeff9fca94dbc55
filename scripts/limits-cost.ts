#!/usr/bin/env bun
/** What five limits in memory cost one request, in processor time: all callers, key, address, model, and requests at
 * once of all callers and of the key.
 *
 * `bun scripts/limits-cost.ts` */
import { createBuckets } from '#access/buckets.ts'
import { ANONYMOUS } from '#access/keys.ts'
import type { Caller } from '#core/caller.ts'
import { createRecord } from '#core/record.ts'
import { createScope } from '#core/scope.ts'
import { createLengths } from '#gateway/limits/estimate.ts'
import { openPermit } from '#gateway/limits/permit.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { call, planFor, slotFor } from '#tests/support/calls.ts'

const ROUNDS = 11
const TIMES = 200_000
const NOTHING = { requests: 0, tokens: 0 }
const address = '203.0.113.7'
const rate = { requests_per_minute: 1e9, burst: 1e9 }
const clock = { now: () => performance.now(), time: () => Date.now(), after: () => () => {} }
const limiter = createMemoryLimiter({ clock, entriesMax: 100_000 })
const buckets = createBuckets({
  enabled: true,
  global: { ...rate, concurrent_requests: 1000 },
  per_client: { ...rate, concurrent_requests: 100 },
  per_address: rate,
  per_user: {},
  per_tenant: {},
  per_model: { m: rate },
  per_class: {},
})
const caller: Caller = { ...ANONYMOUS, id: 'web', role: 'caller' }
const plan = planFor('a')
const permits = { clock, limiter, journal: { note() {} }, lengths: createLengths(), limitsOf: buckets.ofCall }
const record = createRecord({ id: 'id', startedAt: 0, startedNow: 0, method: 'POST', path: '/', address })
const one = call({ caller })
const scope = createScope(clock)
const slots = plan.candidates.map(slotFor)
const places = { take: () => slots[0] ?? Promise.reject(new Error('no place')), tryTake: () => null }
let requests = 0

/** All that the limits do for one request, from its arrival to its end. */
function request(): void {
  const id = `request ${requests++}`
  const own = buckets.ofCaller(caller, address)
  limiter.take(own, 0, id)
  const permit = openPermit(permits, one, record)
  void permit?.slots(places).take(plan.candidates, scope)
  permit?.settle()
  limiter.settle(own, NOTHING, id)
}

const rounds: number[] = []
for (let round = 0; round < ROUNDS; round++) {
  const before = process.cpuUsage()
  for (let time = 0; time < TIMES; time++) request()
  const { user, system } = process.cpuUsage(before)
  rounds.push((user + system) / TIMES)
}
// The first rounds are run before the code is compiled.
const [least = 0, ...rest] = rounds.slice(2).toSorted((left, right) => left - right)
console.log(
  `${least.toFixed(2)} µs a request at least, ${(rest[Math.floor(rest.length / 2)] ?? 0).toFixed(2)} µs in the middle`,
)
