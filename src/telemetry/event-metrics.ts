import { ERRORS } from '#core/errors.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { createFlag, createNames } from './dimensions.ts'
import { createCounter } from './series.ts'

/** Creates the counters of what happens beside and during requests. */
export function createEventMetrics(snapshot: () => Snapshot, seriesMax: number) {
  const isModel = (name: string) => snapshot().models.has(name)
  const from = createNames('from', 512, isModel)
  const to = createNames('to', 512, isModel)
  const reason = createNames('reason', 128, name => Object.hasOwn(ERRORS, name))
  const scope = createNames('scope', 32)
  const how = createNames('how', 4)
  const fallbacks = createCounter({
    name: 'gateway_fallbacks_total',
    help: 'Calls that went on to another model.',
    dimensions: [from, to, reason],
    seriesMax,
  })
  const recoveries = createCounter({
    name: 'gateway_recoveries_total',
    help: 'Streams that broke off and went on.',
    dimensions: [how],
    seriesMax,
  })
  const hedges = createCounter({
    name: 'gateway_hedges_total',
    help: 'Calls that a second server was asked for beside the first one, and whether it was quicker.',
    dimensions: [createFlag('won')],
    seriesMax,
  })
  const limited = createCounter({
    name: 'gateway_rate_limited_total',
    help: 'Refusals by a limit.',
    dimensions: [scope],
    seriesMax,
  })
  const server = createNames('server', 512, name => snapshot().servers.has(name))
  const loads = createCounter({
    name: 'gateway_model_loads_total',
    help: 'Calls for which a server had to load the model.',
    dimensions: [server],
    seriesMax,
  })
  const replays = createCounter({
    name: 'gateway_idempotent_replays_total',
    help: 'Calls that got the answer stored under their idempotency key.',
    seriesMax,
  })
  const type = createNames('type', 16)
  const result = createNames('result', 4)
  const kept = createCounter({
    name: 'gateway_events_total',
    help: 'Events of the fleet that this process was the first to keep.',
    dimensions: [type],
    seriesMax,
  })
  const delivered = createCounter({
    name: 'gateway_event_deliveries_total',
    help: 'Deliveries of events to webhooks: ok, retried, or lost for good.',
    dimensions: [result],
    seriesMax,
  })
  const webhooks = createCounter({
    name: 'gateway_webhooks_received_total',
    help: 'Webhooks received, and whether they were genuine and understood.',
    dimensions: [createFlag('ok')],
    seriesMax,
  })
  return {
    metrics: [fallbacks, recoveries, hedges, limited, loads, replays, kept, delivered, webhooks],
    kept: (name: string) => kept.add(1, type.id(name)),
    delivered: (name: string) => delivered.add(1, result.id(name)),
    webhook: (ok: boolean) => webhooks.add(1, ok ? 1 : 0),
    fallback(fact: { readonly from: string; readonly to: string; readonly reason: string }): void {
      fallbacks.add(1, from.id(fact.from), to.id(fact.to), reason.id(fact.reason))
    },
    recovery: (name: string) => recoveries.add(1, how.id(name)),
    hedge: (won: boolean) => hedges.add(1, won ? 1 : 0),
    limit: (name: string) => limited.add(1, scope.id(name)),
    load: (name: string) => loads.add(1, server.id(name)),
    replay: () => replays.add(1),
  }
}
