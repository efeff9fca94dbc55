import type { Clock } from '#core/clock.ts'
import { ERRORS } from '#core/errors.ts'
import type { Fact } from '#core/journal.ts'
import type { LoadMetrics } from '#wire/orchestration.ts'
import type { NewObservation } from './feed.ts'

/** The values above which a server counts as overloaded. */
export interface LoadThresholds {
  /** Milliseconds. */
  readonly response_time: number
  /** Percent. */
  readonly cpu: number
  /** Percent. */
  readonly memory: number
  /** 0 to 1. */
  readonly error_rate: number
  /** Waiting requests. */
  readonly queue: number
}

export interface LoadMonitorOptions {
  readonly clock: Clock
  readonly thresholds: () => LoadThresholds
  /** All servers, each with the load that it reported or that probes measured. */
  readonly loads: () => readonly { readonly server: string; readonly load: LoadMetrics }[]
  readonly observe: (seen: readonly NewObservation[]) => void
}

/** Watches the load of servers. */
export interface LoadMonitor {
  /** Counts the attempts at each server. */
  subscriber(fact: Fact): void
  /** The share of attempts that failed at a server in about the last minute, 0 to 1; `null` for fewer than 20 attempts. */
  errorRate(server: string): number | null
  stop(): void
}

interface Count {
  all: number
  failed: number
}

const LOOK_EVERY_MS = 5000
const MINUTE_MS = 60_000
/** Counts are multiplied by this at each look, so that a rate covers about the last minute. */
const FADE = 0.9
/** There is no error rate for fewer attempts. */
const ATTEMPTS_MIN = 20
/** The thresholds, and what each of them is for. */
const METRICS = [
  ['response_time', 'response_time_ms'],
  ['cpu', 'cpu_percent'],
  ['memory', 'memory_percent'],
  ['error_rate', 'error_rate'],
  ['queue', 'queue'],
] as const satisfies readonly (readonly [keyof LoadThresholds, keyof LoadMetrics])[]

/** Creates the monitor. It observes one event when a value goes above its threshold, at most one a minute for each server
 * and metric. */
export function createLoadMonitor(options: LoadMonitorOptions): LoadMonitor {
  const { clock } = options
  const counts = new Map<string, Count>()
  let above = new Set<string>()
  let disarm = clock.after(LOOK_EVERY_MS, look)

  function look(): void {
    disarm = clock.after(LOOK_EVERY_MS, look)
    const thresholds = options.thresholds()
    const now = new Set<string>()
    for (const { server, load } of options.loads()) {
      const known = { error_rate: rateOf(counts.get(server)), ...load }
      for (const [metric, field] of METRICS) {
        const value = known[field]
        if (value === undefined || value <= thresholds[metric]) continue
        now.add(`${server}:${metric}`)
        if (!above.has(`${server}:${metric}`)) tell(server, metric, value, thresholds[metric])
      }
    }
    above = now
    for (const [server, count] of counts) {
      count.all *= FADE
      count.failed *= FADE
      if (count.all < 1) counts.delete(server)
    }
  }

  function tell(server: string, metric: keyof LoadThresholds, value: number, threshold: number): void {
    const series = `load:${server}:${metric}`
    const change = { series, state: String(clock.time()), initially: '', apartMs: MINUTE_MS }
    const event = { type: 'load_threshold_exceeded', server, data: { metric, value, threshold } } as const
    options.observe([{ ...change, event }])
  }

  return {
    subscriber(fact) {
      // The client left before the end of a shared answer: the request that now pays for it counts the attempts.
      if (fact.type !== 'request-settled' || fact.record.passedOn) return
      for (const { server, result } of fact.record.attempts) {
        if (result === null || result === 'lost') continue
        let count = counts.get(server)
        if (count === undefined) {
          count = { all: 0, failed: 0 }
          counts.set(server, count)
        }
        count.all++
        if (result !== 'ok' && ERRORS[result].fault === 'upstream') count.failed++
      }
    },
    errorRate: server => rateOf(counts.get(server)) ?? null,
    stop: () => disarm(),
  }
}

function rateOf(count: Count | undefined): number | undefined {
  return count === undefined || count.all < ATTEMPTS_MIN ? undefined : count.failed / count.all
}
