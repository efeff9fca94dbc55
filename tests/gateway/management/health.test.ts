import { describe, expect, test } from 'bun:test'
import { createHealth, type HealthDeps, overallOf } from '#gateway/management/health.ts'
import { fakeClock } from '#tests/support/clock.ts'

const MEMORY = { rss_bytes: 1, heap_used_bytes: 1, limit_bytes: 10, used: 0.1 }
const CPU = { user_seconds: 1, system_seconds: 1, cores: 2, used: 0.5 }

/** A look at a process in which all is well but for what is told. */
function healthOf(more: Partial<HealthDeps> = {}) {
  const clock = fakeClock()
  return createHealth({
    clock,
    thresholds: () => ({ response_time: [1000, 5000], error_rate: [0.05, 0.1], memory: [0.8, 0.95] }),
    checks: { redis: null },
    memory: () => MEMORY,
    cpu: () => CPU,
    calls: () => ({ all: 0, failed: 0 }),
    ...more,
  })
}

describe('a dependency', () => {
  test.each([
    [1000, 'healthy'],
    [1001, 'degraded'],
    [5001, 'unhealthy'],
  ] as const)('that answers after %d ms is %s', async (ms, status) => {
    const clock = fakeClock()
    const parts = await healthOf({ clock, checks: { redis: async () => clock.advance(ms) } })()

    expect(parts.dependencies).toEqual({ redis: { status, available: true, latency_ms: ms } })
  })

  test('that does not answer is unhealthy, and one that is not configured is told so', async () => {
    const away = () => Promise.reject(new Error('away'))
    const parts = await healthOf({ checks: { database: away, vectors: null } })()

    expect(parts.dependencies).toEqual({
      database: { status: 'unhealthy', available: false, latency_ms: null },
      vectors: { status: 'not_configured', available: false, latency_ms: null },
    })
    expect(overallOf('healthy', parts)).toBe('degraded')
    expect(overallOf('unhealthy', parts)).toBe('unhealthy')
  })
})

test.each([
  [19, 19, null, 'healthy'],
  [20, 1, 0.05, 'healthy'],
  [100, 6, 0.06, 'degraded'],
  [100, 11, 0.11, 'unhealthy'],
] as const)('of %d calls %d failed: the rate is %p, the whole %s', async (all, failed, rate, status) => {
  const parts = await healthOf({ calls: () => ({ all, failed }) })()

  expect(parts.errors).toEqual({ status, rate, requests: all })
  expect(overallOf('healthy', parts)).toBe(status)
})
