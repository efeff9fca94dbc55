import { z } from 'zod'
import type { Metric, Sample } from './series.ts'

/** One metric with the values of one process, as plain data. */
export interface Family extends Pick<Metric, 'name' | 'help' | 'type'> {
  readonly samples: readonly Sample[]
}

const families = z.array(
  z.object({
    name: z.string(),
    help: z.string(),
    type: z.enum(['counter', 'gauge', 'histogram']),
    samples: z.array(
      z.object({
        value: z.number(),
        labels: z.record(z.string(), z.union([z.string(), z.number()])),
        metricName: z.string().optional(),
      }),
    ),
  }),
)

/** How the values of two processes are combined; metrics that are not listed are summed. */
const COMBINED_BY: Readonly<Record<string, (a: number, b: number) => number>> = {
  workers_active: Math.max,
  gateway_build_info: Math.max,
  gateway_model_info: Math.max,
  gateway_breaker_state: Math.max,
  gateway_overload_state: Math.max,
  gateway_budget_used_ratio: Math.max,
  process_event_loop_lag_seconds: Math.max,
  gateway_server_up: Math.min,
  gateway_config_last_reload_successful: Math.min,
  process_start_time_seconds: Math.min,
  gateway_certificate_expires_seconds: Math.min,
}

const sum = (a: number, b: number) => a + b

/** Combines the metrics of several processes into those of the gateway.
 *
 * @param snapshots One for each process, as read from its file; one that is not valid is ignored. */
export function mergeFamilies(snapshots: readonly unknown[]): readonly Family[] {
  const merged = new Map<string, { readonly family: Family; readonly samples: Map<string, Sample> }>()
  for (const family of snapshots.flatMap(snapshot => families.safeParse(snapshot).data ?? [])) {
    const combine = COMBINED_BY[family.name] ?? sum
    const known = merged.get(family.name) ?? { family, samples: new Map() }
    merged.set(family.name, known)
    for (const sample of family.samples) {
      const key = `${sample.metricName}${JSON.stringify(sample.labels)}`
      const before = known.samples.get(key)
      const value = before === undefined ? sample.value : combine(before.value, sample.value)
      known.samples.set(key, { ...sample, value })
    }
  }
  return [...merged.values()].map(({ family, samples }) => ({ ...family, samples: [...samples.values()] }))
}

/** Adds the counters and histograms of a process that has ended to those of earlier ones, so that totals never fall. Its
 * gauges are dropped: they say how a process is now. */
export function foldFamilies(before: unknown, ended: unknown): readonly Family[] {
  return mergeFamilies([before, ended]).filter(({ type }) => type !== 'gauge')
}
