import type { Fact } from '#core/journal.ts'
import type { RequestRecord } from '#core/record.ts'
import { createStates } from '#registry/states.ts'
import { model } from '#tests/support/calls.ts'
import { parseExposition } from '#tests/support/exposition.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { metricsOf } from '#tests/support/metrics.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

const MODELS = [model('chat', [targetOf('llm/mixtral')]), model('small', [targetOf('cloud/phi')])]
const CANDIDATE = { target: targetOf('llm/mixtral'), model: model('chat', []), reason: '' }

/** What happens, so that metrics with labels have series. */
const RECORDS: readonly Partial<RequestRecord>[] = [
  { stream: true, firstTokenAt: 5, contentFrames: 3, costNano: 5, queueMs: 1, eventsSkipped: 1 },
  { status: 503, code: 'all_targets_failed', attempts: [attemptEntry('llm', { result: 'upstream_error' })] },
  { cache: { status: 'hit', ageMs: 0, leftMs: 0 }, savedTokens: 3, savedNano: 5 },
  { plan: { model: CANDIDATE.model, strategy: 'resident', candidates: [CANDIDATE], sparesLoad: true } },
]
const FACTS: readonly Fact[] = [
  { type: 'fallback-taken', from: 'chat', to: 'small', reason: 'upstream_error' },
  { type: 'stream-recovered', how: 'restart' },
  { type: 'hedged', won: true },
  { type: 'limit-hit', scope: 'key' },
  { type: 'model-loaded', server: 'llm', model: 'mixtral' },
  { type: 'event-kept', event: { id: '1', type: 'server_registered', at: 0, server: 'llm', data: {} } },
  { type: 'event-delivered', result: 'ok' },
  { type: 'webhook-received', webhook: 'alertmanager', ok: true },
  ...RECORDS.map(record => ({ type: 'request-settled', record: recordOf(record) }) as const),
]

/** The exposition of a gateway to which much has happened. */
export async function exposition(): Promise<string> {
  const states = createStates()
  for (const server of ['llm', 'cloud']) states.server(server).health = 'healthy'
  const budgets = () => [{ scope: 'key', ratio: 0.5 }]
  const metrics = metricsOf({
    snapshot: () => snapshotOf(MODELS),
    states,
    certificateEnds: () => 1,
    ledger: { open: () => 0, depth: () => 0, dropped: () => 0, budgets },
  })
  for (const fact of FACTS) metrics.subscriber(fact)
  return metrics.render()
}

/** The metrics of the gateway by the names under which Prometheus keeps them, with their labels. */
export async function exposedMetrics(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const exposed = new Map<string, Set<string>>()
  for (const sample of parseExposition(await exposition()).keys()) {
    const [, name = '', labels = ''] = /^([^{]+)(.*)$/.exec(sample) ?? []
    const known = exposed.get(name) ?? new Set(['job', 'instance'])
    for (const [, label = ''] of labels.matchAll(/([a-z_]+)="/g)) known.add(label)
    exposed.set(name, known)
  }
  return exposed
}
