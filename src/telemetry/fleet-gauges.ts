import type { Clock } from '#core/clock.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { breakerOf, type States } from '#core/states.ts'
import { NONE } from './dimensions.ts'
import { createGauge, type Metric } from './series.ts'

/** Where the gauges of the fleet look. */
export interface FleetSources {
  readonly clock: Clock
  readonly version: string
  /** The installation, if it has a name. */
  readonly environment: () => string | null
  readonly snapshot: () => Snapshot
  readonly states: States
  /** Retries that may still begin now. */
  readonly retriesLeft: () => number
}

const BREAKER_VALUES = { closed: 0, 'half-open': 1, open: 2 } as const

/** Creates the gauges of servers, targets and models. */
export function createFleetGauges(sources: FleetSources): readonly Metric[] {
  const { clock, snapshot, states, version } = sources
  const build = () => {
    const environment = sources.environment()
    return { version, bun: process.versions.bun ?? 'none', ...(environment !== null && { environment }) }
  }
  const ids = () => [...snapshot().servers.keys()]
  return [
    createGauge('gateway_inflight', 'Attempts in flight at a server.', () =>
      ids().map(server => ({ labels: { server }, value: states.server(server).inFlight })),
    ),
    // A server that was not probed yet has no value: neither up nor down would be true.
    createGauge('gateway_server_up', 'Whether the last probes of a server were good.', () =>
      ids()
        .filter(server => states.server(server).health !== 'unknown')
        .map(server => ({ labels: { server }, value: states.server(server).health === 'unhealthy' ? 0 : 1 })),
    ),
    createGauge('gateway_breaker_state', 'The circuit breaker of a target: 0 closed, 1 half-open, 2 open.', () =>
      [...snapshot().targets.values()].map(target => ({
        labels: { server: target.server.id, model: target.upstreamModel },
        value: BREAKER_VALUES[breakerOf(states.target(target), clock.now())],
      })),
    ),
    createGauge('gateway_model_info', 'The class of each model; always 1.', () =>
      [...snapshot().models.values()].map(({ name, class: type }) => ({
        labels: { model: name, class: type ?? NONE },
        value: 1,
      })),
    ),
    createGauge('gateway_retry_budget_remaining', 'Retries that may begin now.', sources.retriesLeft),
    createGauge('gateway_build_info', 'The version that runs.', () => [{ labels: build(), value: 1 }]),
  ]
}
