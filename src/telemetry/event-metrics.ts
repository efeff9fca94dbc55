import { ERRORS } from '#core/errors.ts'
import type { Fact } from '#core/journal.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { createFlag, createNames, type Dimension } from './dimensions.ts'
import { createCounter } from './series.ts'

/** Creates the counters of what happens beside and during requests. */
export function createEventMetrics(snapshot: () => Snapshot, seriesMax: number) {
  const counter = (name: string, help: string, ...dimensions: Dimension[]) =>
    createCounter({ name, help, dimensions, seriesMax })
  const isModel = (name: string) => snapshot().models.has(name)
  const from = createNames('from', 512, isModel)
  const to = createNames('to', 512, isModel)
  const reason = createNames('reason', 128, name => Object.hasOwn(ERRORS, name))
  const scope = createNames('scope', 32)
  const how = createNames('how', 4)
  const fallbacks = counter('gateway_fallbacks_total', 'Calls that went on to another model.', from, to, reason)
  const recoveries = counter('gateway_recoveries_total', 'Streams that broke off and went on.', how)
  const hedges = counter(
    'gateway_hedges_total',
    'Calls that a second server was asked for beside the first one, and whether it was quicker.',
    createFlag('won'),
  )
  const limited = counter('gateway_rate_limited_total', 'Refusals by a limit.', scope)
  const server = createNames('server', 512, name => snapshot().servers.has(name))
  const loads = counter('gateway_model_loads_total', 'Calls for which a server had to load the model.', server)
  const replays = counter(
    'gateway_idempotent_replays_total',
    'Calls that got the answer stored under their idempotency key.',
  )
  const type = createNames('type', 16)
  const result = createNames('result', 4)
  const kept = counter('gateway_events_total', 'Events of the fleet that this process was the first to keep.', type)
  const delivered = counter(
    'gateway_event_deliveries_total',
    'Deliveries of events to webhooks: ok, retried, or lost for good.',
    result,
  )
  const webhooks = counter(
    'gateway_webhooks_received_total',
    'Webhooks received, and whether they were genuine and understood.',
    createFlag('ok'),
  )
  return {
    metrics: [fallbacks, recoveries, hedges, limited, loads, replays, kept, delivered, webhooks],
    subscriber(fact: Fact): void {
      switch (fact.type) {
        case 'fallback-taken':
          fallbacks.add(1, from.id(fact.from), to.id(fact.to), reason.id(fact.reason))
          return
        case 'stream-recovered':
          recoveries.add(1, how.id(fact.how))
          return
        case 'hedged':
          hedges.add(1, fact.won ? 1 : 0)
          return
        case 'limit-hit':
          limited.add(1, scope.id(fact.scope))
          return
        case 'model-loaded':
          loads.add(1, server.id(fact.server))
          return
        case 'answer-replayed':
          replays.add(1)
          return
        case 'event-kept':
          kept.add(1, type.id(fact.event.type))
          return
        case 'event-delivered':
          delivered.add(1, result.id(fact.result))
          return
        case 'webhook-received':
          webhooks.add(1, fact.ok ? 1 : 0)
          return
      }
    },
  }
}
