import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Plan } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import { createMemoryHistory } from '#stores/memory-history.ts'
import { model, target } from '#tests/support/calls.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

const WIDE = 1024 * 1024 * 1024
const named = (id: string, more: Partial<RequestRecord> = {}) => ({ ...recordOf(more), id })

describe('the history in memory', () => {
  test('finds a finished request, without the internal causes of its errors', () => {
    const history = createMemoryHistory({ entriesMax: 2, bytesMax: WIDE })
    const record = named('a', {
      callerRequestId: 'mine',
      user: 'long',
      session: 'long',
      payload: { prompt: 'long', answer: 'long' },
      error: new GatewayError('upstream_error', 'It failed.', { cause: 'http://10.1.2.3 said no' }),
      attempts: [attemptEntry('llm', { cause: 'http://10.1.2.3 said no' })],
    })
    history.keep(record)

    const found = history.find('a')
    expect(history.find('b')).toBeNull()
    expect(found).toMatchObject({ id: 'a', model: 'chat', callerRequestId: null, error: null })
    expect(found).toMatchObject({ user: null, session: null, payload: null })
    expect(JSON.stringify(found)).not.toContain('10.1.2.3')
  })

  test('keeps the latest requests, and never more than its limit', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 0, max: 40 }), (entriesMax, count) => {
        const history = createMemoryHistory({ entriesMax, bytesMax: WIDE })
        for (let at = 0; at < count; at++) history.keep(named(`r${at}`))
        for (let at = 0; at < count; at++) {
          expect(history.find(`r${at}`) !== null).toBe(at >= count - entriesMax)
        }
      }),
    )
  })

  test('keeps fewer requests when they are large', () => {
    const history = createMemoryHistory({ entriesMax: 1000, bytesMax: 10_000 })
    const attempts = Array.from({ length: 10 }, () => attemptEntry('llm'))
    for (let at = 0; at < 100; at++) history.keep(named(`r${at}`, { attempts }))

    const kept = Array.from({ length: 100 }, (_, at) => history.find(`r${at}`)).filter(found => found !== null)
    expect(kept.map(({ id }) => id)).toEqual(['r98', 'r99'])
  })

  test('counts the size of excluded and skipped candidates, too', () => {
    const [asked, out] = [target('a'), target('b')]
    const chat = model('chat', [asked, out])
    const candidate = { target: asked, model: chat, reason: '' }
    const later = Array.from({ length: 100 }, () => ({ ...candidate, target: out }))
    const plan: Plan = { model: chat, strategy: 'random', candidates: [candidate], later }
    const skipped = Array.from({ length: 20 }, () => ({ model: 'x'.repeat(256), code: 'model_not_found' as const }))
    const keptOf = (more: Partial<RequestRecord>) => {
      const history = createMemoryHistory({ entriesMax: 1000, bytesMax: 20_000 })
      for (let at = 0; at < 10; at++) history.keep(named(`r${at}`, more))
      return Array.from({ length: 10 }, (_, at) => history.find(`r${at}`)).filter(found => found !== null).length
    }

    expect([keptOf({}), keptOf({ plan }), keptOf({ skipped })]).toEqual([10, 2, 2])
  })
})
