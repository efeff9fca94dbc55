import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createJournal } from '#core/journal.ts'
import { createScope } from '#core/scope.ts'
import type { Flight } from '#gateway/flights/flight.ts'
import { createLengths } from '#gateway/limits/estimate.ts'
import { createPipeline, type ModelRequest } from '#gateway/pipeline.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { anyone, model, planFor, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { snapshotOf } from '#tests/support/fleet.ts'
import { recordOf } from '#tests/support/records.ts'

const EARLY_MS = 10
const cache = {
  ...{ chatTtlMs: 1000, embeddingsTtlMs: 1000, onlyDeterministic: false, coalesce: true, keepPace: false },
  scope: 'tenant' as const,
}

/** A pipeline whose store says late that it has nothing, and whose servers never answer. */
function setup() {
  const clock = fakeClock()
  const late = Promise.withResolvers<void>()
  let flight: Flight | null = null
  const run = createPipeline({
    clock,
    journal: createJournal([]),
    limiter: createMemoryLimiter({ clock, entriesMax: 10 }),
    lengths: createLengths(),
    limitsOf: () => null,
    snapshot: () => snapshotOf([model('m', [target('a')])], { cache, earlyHeadersMs: EARLY_MS }),
    payloads: () => false,
    plan: () => planFor('a'),
    purse: () => null,
    attempt: () => () => Promise.reject(new Error('nobody is asked')),
    canContinue: () => false,
    router: () => () => (_call, _plan, scope) => ({ next: () => new Promise((_, reject) => scope.onEnd(reject)) }),
    answers: async ({ call, record, scope }, depart) => {
      await late.promise
      flight ??= depart(call).flight({ charactersMax: 1000, onOver() {} })
      return flight.join(scope, record)
    },
  })
  const ask = () => {
    const scope = createScope(clock)
    const record = recordOf({ outcome: 'ok' })
    const passedOn: boolean[] = []
    const request: ModelRequest = {
      endpoint: 'chat',
      text: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }], stream: true }),
      ...{ caller: anyone, record, scope },
      wishes: {
        ...{ server: null, strategy: null, timeoutMs: null, firstTokenMs: null },
        ...{ idleMs: null, maxAttempts: null, priority: null },
      },
      cache: { read: true, store: true, share: true, maxAgeMs: Infinity, onlyStored: false },
      onStreamEnd: () => passedOn.push(record.passedOn),
    }
    return { scope, passedOn, answer: run(request) }
  }
  return { clock, found: late.resolve, ask }
}

test('who began early and joined later has passed a shared answer on before it is settled', async () => {
  const { clock, found, ask } = setup()
  const [first, second] = [ask(), ask()]
  await settled()
  clock.advance(EARLY_MS)
  await Promise.all([first.answer, second.answer])
  found()
  await settled()

  first.scope.cancel(new GatewayError('client_closed_request', 'The client closed the request.'))

  expect([first.passedOn, second.passedOn]).toEqual([[true], []])
})
