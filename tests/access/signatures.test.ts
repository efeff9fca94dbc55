import { describe, expect, test } from 'bun:test'
import { createHash, createHmac } from 'node:crypto'
import { checkSignature, createReplays, type SignedRequest } from '#access/signatures.ts'
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
  const replays = createReplays(clock, rememberedMax)
  const check = (request: SignedRequest) => checkSignature(request, BY, { replays, clock })?.code ?? 'ok'
  return { clock, check }
}

describe('a signature', () => {
  test('lets its request in once', () => {
    const { clock, check } = checker()
    const request = signed(clock.time())

    expect([check(request), check(request)]).toEqual(['ok', 'invalid_signature'])
    expect(check(signed(clock.time() + 1))).toBe('ok')
  })

  test.each<[string, Partial<SignedRequest>]>([
    ['method', { method: 'GET' }],
    ['path', { path: '/v1/completions' }],
    ['query', { path: '/v1/chat/completions' }],
    ['timestamp', { timestamp: String(Date.UTC(2026, 0, 1) + 1) }],
    ['body', { body: '{"a":2}' }],
    ['body by a space', { body: '{"a":1} ' }],
  ])('does not fit another %s', (_, change) => {
    const { clock, check } = checker()

    expect(check({ ...signed(clock.time()), ...change })).toBe('invalid_signature')
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
  ])('cannot be %s', (_, change) => {
    const { clock, check } = checker()

    expect(check({ ...signed(clock.time()), ...change })).toBe('invalid_signature')
  })

  test('by another secret is refused, and a wrong one does not use up the right one', () => {
    const { clock, check } = checker()

    expect(check(signed(clock.time(), {}, 'another'))).toBe('invalid_signature')
    expect(check(signed(clock.time()))).toBe('ok')
  })

  test.each([
    [-MINUTES_5 - 1, 'invalid_signature'],
    [-MINUTES_5, 'ok'],
    [MINUTES_5, 'ok'],
    [MINUTES_5 + 1, 'invalid_signature'],
  ])('of %i ms from now: %s', (offset, expected) => {
    const { clock, check } = checker()

    expect(check(signed(clock.time() + offset))).toBe(expected)
  })

  test('is never taken twice, although few are remembered: what came too early is refused instead', () => {
    const { clock, check } = checker(3)
    const requests = [0, 1, 2, 3, 4].map(ms => signed(clock.time() + ms))

    expect(requests.map(check)).toEqual(['ok', 'ok', 'ok', 'ok', 'ok'])
    expect(requests.map(check)).toEqual(requests.map(() => 'invalid_signature'))
    expect(check(signed(clock.time() + 1, { body: 'late' }))).toBe('invalid_signature')
    expect(check(signed(clock.time() + 5))).toBe('ok')
  })

  test('of one key says nothing about another key', () => {
    const clock = fakeClock()
    const replays = createReplays(clock)
    const request = signed(clock.time())

    const codes = ['a', 'b', 'a'].map(owner => checkSignature(request, { ...BY, owner }, { replays, clock })?.code)

    expect(codes).toEqual([undefined, undefined, 'invalid_signature'])
  })
})
