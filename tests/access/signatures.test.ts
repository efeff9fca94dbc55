import { describe, expect, test } from 'bun:test'
import { createHash, createHmac } from 'node:crypto'
import { checkSignature, type SignedRequest } from '#access/signatures.ts'
import type { Replays } from '#core/guards.ts'
import { createMemoryReplays } from '#stores/memory-replays.ts'
import { fakeClock } from '#tests/support/clock.ts'

const BY = { owner: 'partner', secret: 's-of-the-partner' }
const MINUTES_5 = 5 * 60_000

/** Signs as the guide says, which is not how the gateway is written. */
function signed(at: number, more: Partial<SignedRequest> = {}, secret = BY.secret): SignedRequest {
  const request = { method: 'POST', path: '/v1/chat/completions?a=b', timestamp: String(at), body: '{"a":1}', ...more }
  const hash = createHash('sha256').update(request.body).digest('hex')
  const lines = `${request.method}\n${request.path}\n${request.timestamp}\n${hash}`
  return { signature: `v1=${createHmac('sha256', secret).update(lines).digest('hex')}`, ...request }
}

function checker(rememberedMax?: number) {
  const clock = fakeClock()
  const replays = createMemoryReplays(clock, rememberedMax)
  const check = async (request: SignedRequest) => (await checkSignature(request, BY, { replays, clock }))?.code ?? 'ok'
  return { clock, check }
}

async function inTurn<T, R>(values: readonly T[], run: (value: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (const value of values) results.push(await run(value))
  return results
}

describe('a signature', () => {
  test('lets its request in once', async () => {
    const { clock, check } = checker()
    const request = signed(clock.time())

    expect([await check(request), await check(request)]).toEqual(['ok', 'invalid_signature'])
    expect(await check(signed(clock.time() + 1))).toBe('ok')
  })

  test('lets its request in once also where a store has to be asked', async () => {
    const clock = fakeClock()
    const near = createMemoryReplays(clock)
    const replays: Replays = { ...near, take: async (...signature) => near.take(...signature) }
    const request = signed(clock.time())
    const check = async () => (await checkSignature(request, BY, { replays, clock }))?.code ?? 'ok'

    expect([await check(), await check()]).toEqual(['ok', 'invalid_signature'])
  })

  test.each<[string, Partial<SignedRequest>]>([
    ['method', { method: 'GET' }],
    ['path', { path: '/v1/completions' }],
    ['query', { path: '/v1/chat/completions' }],
    ['timestamp', { timestamp: String(Date.UTC(2026, 0, 1) + 1) }],
    ['body', { body: '{"a":2}' }],
    ['body by a space', { body: '{"a":1} ' }],
  ])('does not fit another %s', async (_, change) => {
    const { clock, check } = checker()

    expect(await check({ ...signed(clock.time()), ...change })).toBe('invalid_signature')
  })

  test('has a time in whole milliseconds, however else a number may be written', async () => {
    const { clock, check } = checker()
    const written = [`${clock.time()}.5`, ` ${clock.time()}`, `0x${clock.time().toString(16)}`]

    expect(await inTurn(written, timestamp => check(signed(0, { timestamp })))).toEqual(
      written.map(() => 'invalid_signature'),
    )
  })

  test.each<[string, Partial<SignedRequest>]>([
    ['nothing', { signature: null }],
    ['no timestamp', { timestamp: null }],
    ['an empty one', { signature: '' }],
    ['a bare one', { signature: 'v1=' }],
    ['half of one', { signature: `v1=${'0'.repeat(32)}` }],
    ['another version', { signature: `v2=${'0'.repeat(64)}` }],
    ['no number for a time', { timestamp: 'NaN' }],
    ['seconds', { timestamp: '1767225600' }],
    ['a negative time', { timestamp: '-767225600000' }],
  ])('cannot be %s', async (_, change) => {
    const { clock, check } = checker()

    expect(await check({ ...signed(clock.time()), ...change })).toBe('invalid_signature')
  })

  test('by another secret is refused, and a wrong one does not use up the right one', async () => {
    const { clock, check } = checker()

    expect(await check(signed(clock.time(), {}, 'another'))).toBe('invalid_signature')
    expect(await check(signed(clock.time()))).toBe('ok')
  })

  test('is refused, not an error of ours, where the secret of its key cannot be read', async () => {
    const clock = fakeClock()
    const by = { owner: 'partner', secret: null }

    const refusal = await checkSignature(signed(clock.time()), by, { replays: createMemoryReplays(clock), clock })

    expect(refusal?.code).toBe('invalid_signature')
  })

  test.each([{ signature: null }, { timestamp: null }])('that is not there is asked for: without %j', async change => {
    const clock = fakeClock()
    const request = { ...signed(clock.time()), ...change }

    const refusal = await checkSignature(request, BY, { replays: createMemoryReplays(clock), clock })

    expect(refusal?.message).toContain('send x-citadel-timestamp and x-citadel-signature')
  })

  test.each([
    [-MINUTES_5 - 1, 'invalid_signature'],
    [-MINUTES_5, 'ok'],
    [MINUTES_5, 'ok'],
    [MINUTES_5 + 1, 'invalid_signature'],
  ])('of %i ms from now: %s', async (offset, expected) => {
    const { clock, check } = checker()

    expect(await check(signed(clock.time() + offset))).toBe(expected)
  })

  test('is never taken twice, although few are remembered: what came too early is refused instead', async () => {
    const { clock, check } = checker(3)
    const requests = [0, 1, 2, 3, 4].map(ms => signed(clock.time() + ms))

    expect(await inTurn(requests, check)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok'])
    expect(await inTurn(requests, check)).toEqual(requests.map(() => 'invalid_signature'))
    expect(await check(signed(clock.time() + 1, { body: 'late' }))).toBe('invalid_signature')
    expect(await check(signed(clock.time() + 5))).toBe('ok')
  })

  test('of one key says nothing about another key', async () => {
    const clock = fakeClock()
    const replays = createMemoryReplays(clock)
    const request = signed(clock.time())

    const codes = await inTurn(
      ['a', 'b', 'a'],
      async owner => (await checkSignature(request, { ...BY, owner }, { replays, clock }))?.code,
    )

    expect(codes).toEqual([undefined, undefined, 'invalid_signature'])
  })
})
