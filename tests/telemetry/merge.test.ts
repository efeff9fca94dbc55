import { describe, expect, test } from 'bun:test'
import { type Family, foldFamilies, mergeFamilies } from '#telemetry/merge.ts'
import { parseExposition } from '#tests/support/exposition.ts'
import { metricsOf } from '#tests/support/metrics.ts'
import { recordOf } from '#tests/support/records.ts'

const family = (more: Partial<Family>): Family => ({
  ...{ name: 'n', help: 'h', type: 'counter', samples: [] },
  ...more,
})
const sample = (value: number, labels: Readonly<Record<string, string>> = {}) => ({ value, labels })

describe('merging the metrics of several processes', () => {
  test('adds up counters', () => {
    const merged = mergeFamilies([
      [family({ samples: [sample(1, { a: 'x' }), sample(2, { a: 'y' })] })],
      [family({ samples: [sample(10, { a: 'x' }), sample(5, { a: 'z' })] })],
    ])

    expect(merged).toEqual([
      family({ samples: [sample(11, { a: 'x' }), sample(2, { a: 'y' }), sample(5, { a: 'z' })] }),
    ])
  })

  test.each([
    ...['workers_active', 'gateway_build_info', 'gateway_model_info', 'gateway_breaker_state'].map(
      each => [each, 7] as const,
    ),
    ...['gateway_overload_state', 'gateway_budget_used_ratio', 'process_event_loop_lag_seconds'].map(
      each => [each, 7] as const,
    ),
    ...['gateway_server_up', 'gateway_config_last_reload_successful'].map(each => [each, 3] as const),
    ...['process_start_time_seconds', 'gateway_certificate_expires_seconds'].map(each => [each, 3] as const),
    ['gateway_streams_active', 10],
  ])('become one as is true of %s', (name, expected) => {
    const of = (value: number) => [family({ name, type: 'gauge', samples: [sample(value)] })]

    for (const values of [
      [3, 7],
      [7, 3],
    ] as const)
      expect(mergeFamilies(values.map(of))[0]?.samples).toEqual([sample(expected)])
  })

  test('adds up histograms bucket by bucket', () => {
    const of = (low: number, high: number) => [
      family({
        type: 'histogram',
        samples: [
          { metricName: 'n_bucket', value: low, labels: { le: 1 } },
          { metricName: 'n_bucket', value: high, labels: { le: '+Inf' } },
          { metricName: 'n_count', value: high, labels: {} },
        ],
      }),
    ]

    expect(mergeFamilies([of(1, 3), of(2, 2)])).toEqual(of(3, 5))
  })

  test('ignores metrics that cannot be read', () => {
    expect(mergeFamilies([null, 'x', [{ name: 'n' }], [family({ samples: [sample(1)] })]])).toHaveLength(1)
  })

  test('keeps the counters of a process that has ended, and drops its gauges', () => {
    const ended = [
      family({ name: 'counted', samples: [sample(2)] }),
      family({ name: 'now', type: 'gauge', samples: [sample(2)] }),
    ]

    expect(foldFamilies(foldFamilies(null, ended), ended)).toEqual([family({ name: 'counted', samples: [sample(4)] })])
  })
})

test('each of two workers reports the metrics of both', async () => {
  const written = new Map<string, unknown>()
  const worker = (name: string) => {
    const share = {
      write: (value: unknown) => void written.set(name, JSON.parse(JSON.stringify(value))),
      readAll: () => [...written.values()],
    }
    return metricsOf({ workers: () => 2, share })
  }
  const [first, second] = [worker('first'), worker('second')]
  for (const each of [first, first, second]) each.subscriber({ type: 'request-settled', record: recordOf() })
  second.publish()
  const told = parseExposition(await first.render())

  expect(told.get('gateway_overhead_seconds_count')).toBe(3)
  expect(told.get('workers_active')).toBe(2)
  expect(parseExposition(await second.render())).toEqual(expect.objectContaining({ size: told.size }))
})
