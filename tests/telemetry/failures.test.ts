import { expect, test } from 'bun:test'
import type { Code } from '#core/errors.ts'
import { createRecord } from '#core/record.ts'
import { createFailures } from '#telemetry/failures.ts'
import { fakeClock } from '#tests/support/clock.ts'

function failuresOf() {
  const clock = fakeClock()
  const failures = createFailures(clock)
  const start = { id: 'r', startedAt: 0, startedNow: 0, method: 'POST', path: '/', address: '' }
  return {
    clock,
    read: failures.read,
    settle(code: Code | null, model: string | null = 'chat') {
      failures.subscriber({ type: 'request-settled', record: Object.assign(createRecord(start), { code, model }) })
    },
  }
}

test('counts calls that failed at the gateway or its servers, and not the errors of callers', () => {
  const { settle, read } = failuresOf()
  const codes = [null, 'upstream_timeout', 'internal_error', 'invalid_request', 'rate_limit_exceeded'] as const

  for (const code of codes) settle(code)

  expect(read()).toEqual({ all: 5, failed: 2 })
})

test('counts calls for which no server was available, and no other refused requests', () => {
  const { settle, read } = failuresOf()

  settle('no_healthy_upstream', null)
  settle('not_found', null)
  settle(null, null)

  expect(read()).toEqual({ all: 1, failed: 1 })
})

test('forgets failures after a minute, even if nothing was counted in between', () => {
  const { settle, read, clock } = failuresOf()
  const counts: number[] = []

  settle(null)
  clock.advance(30_000)
  settle('upstream_error')
  counts.push(read().all)
  clock.advance(30_000)
  counts.push(read().all)
  clock.advance(3_600_000)
  counts.push(read().all, read().failed)

  expect(counts).toEqual([2, 1, 0, 0])
})
