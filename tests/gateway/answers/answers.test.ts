import { expect, test } from 'bun:test'
import { createFingerprints } from '#cache/fingerprints.ts'
import type { CachedAnswer, CacheSettings, CacheStore } from '#core/cache.ts'
import type { Endpoint } from '#core/call.ts'
import { createScope } from '#core/scope.ts'
import { createAnswers } from '#gateway/answers/answers.ts'
import { createFlights } from '#gateway/answers/share.ts'
import { anyone, call, model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf } from '#tests/support/fleet.ts'
import { recordOf } from '#tests/support/records.ts'

const settings: CacheSettings = {
  ...{ chatTtlMs: 1000, embeddingsTtlMs: 1000, onlyDeterministic: false, scope: 'tenant' },
  ...{ coalesce: true, keepPace: false },
}

test.each<[Endpoint, CachedAnswer['form'], object]>([
  ['chat', 'plain', { messages: [{ role: 'user', content: 'Hi' }] }],
  ['embeddings', 'vector', { input: 'Hi' }],
])(
  'a stored answer (%s) is its model’s, also when its caller leaves before it is given',
  async (endpoint, form, body) => {
    const clock = fakeClock()
    const one = target('llm')
    const stored: CachedAnswer = {
      ...{ form, text: '{}', count: '', id: '', created: 0, pace: [], usage: null, characters: 0 },
      ...{ model: 'm', target: one.id, tenant: 'shop', key: 'web', storedAt: clock.time(), ttlMs: 1000 },
    }
    const store: CacheStore = {
      get: () => stored,
      set() {},
      clear: async () => 0,
      size: () => ({ entries: 1, bytes: 1 }),
    }
    const record = recordOf({ model: null, cache: null })
    const answers = createAnswers({ store, clock, fingerprints: createFingerprints(), flights: createFlights(clock) })

    await answers(
      {
        call: call({ endpoint, caller: { ...anyone, role: 'caller' }, body: { model: 'm', ...body } }),
        ...{ text: JSON.stringify(body), record, scope: createScope(clock), settings },
        snapshot: snapshotOf([model('m', [one])]),
        cache: { read: true, store: true, share: true, maxAgeMs: Infinity, onlyStored: true },
        wishes: { server: null, strategy: null, maxAttempts: null },
      },
      () => {
        throw new Error('no server is asked')
      },
    )

    expect([record.cache?.status, record.model]).toEqual(['hit', 'm'])
  },
)
