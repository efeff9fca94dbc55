import type { AttemptEntry } from '#core/attempt.ts'
import { createRecord, type RequestRecord } from '#core/record.ts'

/** One attempt as the router records it. */
export function attemptEntry(server: string, more: Partial<AttemptEntry> = {}): AttemptEntry {
  return { server, model: 'm', startedAt: 10, ms: 20, result: 'ok', cause: null, ...more }
}

/** The record of a chat call that went well: it came at 0, was dialled at 2, answered at 50 and over at 51. */
export function recordOf(more: Partial<RequestRecord> = {}): RequestRecord {
  const record = createRecord({
    id: '0190a0b0-0000-7000-8000-000000000001',
    startedAt: Date.UTC(2026, 0, 1),
    startedNow: 0,
    method: 'POST',
    path: '/v1/chat/completions',
    address: '203.0.113.7',
  })
  return {
    ...record,
    route: '/v1/chat/completions',
    purpose: 'call',
    caller: 'web',
    tenant: 'shop',
    status: 200,
    model: 'chat',
    server: 'llm',
    upstreamModel: 'mixtral',
    attempts: [attemptEntry('llm')],
    usage: { input: 12, cacheRead: 0, cacheWrite: 0, output: 34, reasoning: 0, estimated: false },
    dialledAt: 2,
    answeredAt: 50,
    endedAt: 51,
    ...more,
  }
}
