import { describe, expect, test } from 'bun:test'
import type { Need } from '#access/authorize.ts'
import { createIdentify } from '#access/identify.ts'
import { ANONYMOUS, type AuthMode, CALLS_ONLY, createKeyring, UNRECOGNISED } from '#access/keys.ts'
import { refused } from '#access/refusals.ts'
import type { Tokens } from '#access/tokens.ts'
import type { Caller, Role } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { fakeClock } from '#tests/support/clock.ts'

const TOKEN = { authorization: 'Bearer aa.bb.cc', xApiKey: null, apiKey: null }
const DOTTED = { authorization: 'Bearer team.web.2024', xApiKey: null, apiKey: null }
const DOTTED_CALLER = { authorization: 'Bearer team.app.2024', xApiKey: null, apiKey: null }
const KEY = { authorization: 'Bearer sk-of-somebody', xApiKey: null, apiKey: null }

function callerWith(role: Role): Caller {
  return { ...ANONYMOUS, id: 'idp#somebody', role }
}

/** Asks who sends a token that comes to this, or that was known before. */
async function ask(options: {
  readonly mode: AuthMode
  readonly need?: Need
  readonly verdict?: Caller | GatewayError
  readonly known?: Caller
  readonly waitMs?: number | Promise<number>
  readonly credentials?: typeof TOKEN
}): Promise<Caller | string> {
  const usual = { tenant: null, role: 'caller' as const, models: null, expires: null }
  const keys = [
    { ...usual, name: 'a', key: 'sk-of-somebody' },
    { ...usual, name: 'b', key: 'team.web.2024', role: 'viewer' as const },
    { ...usual, name: 'c', key: 'team.app.2024' },
  ]
  const keyring = createKeyring({
    keys: keys.map(key => ({ ...key, limits: { requests_per_minute: 0 } })),
    adminKeys: [],
    mode: options.mode,
    clock: fakeClock(),
  })
  const tokens: Tokens = { known: () => options.known ?? null, resolve: async () => options.verdict ?? refused() }
  const identify = createIdentify({
    keyring,
    tokens,
    failures: { quiet: () => false, waitMs: () => options.waitMs ?? 0 },
    onThrottled() {},
  })
  const result = await identify(options.credentials ?? TOKEN, '203.0.113.7', options.need ?? 'caller')
  return result instanceof GatewayError ? result.code : result
}

describe('a token', () => {
  const away = new GatewayError('dependency_unavailable', 'away')

  test.each<[AuthMode, Need, GatewayError, Caller | string]>([
    ['required', 'caller', refused(), 'invalid_api_key'],
    ['optional', 'caller', refused(), 'invalid_api_key'],
    ['none', 'caller', refused(), UNRECOGNISED],
    ['none', 'observer', refused(), UNRECOGNISED],
    ['none', 'operator', refused(), 'invalid_api_key'],
    ['required', 'caller', away, 'dependency_unavailable'],
    ['none', 'caller', away, UNRECOGNISED],
    ['none', 'admin', away, 'dependency_unavailable'],
  ])('that is refused, with mode %s at what needs a %s', async (mode, need, verdict, expected) => {
    expect(await ask({ mode, need, verdict })).toBe(expected)
  })

  test('counts in mode none only for what it allows beyond calls', async () => {
    const viewer = callerWith('viewer')

    expect(await ask({ mode: 'none', verdict: callerWith('caller') })).toBe(CALLS_ONLY)
    expect(await ask({ mode: 'none', verdict: viewer })).toBe(viewer)
    expect(await ask({ mode: 'none', known: callerWith('caller') })).toBe(CALLS_ONLY)
  })

  test('that is known does not wait, one that is new does', async () => {
    const known = callerWith('caller')

    expect(await ask({ mode: 'required', known, waitMs: 1 })).toBe(known)
    expect(await ask({ mode: 'required', verdict: known, waitMs: 1 })).toBe('rate_limit_exceeded')
  })

  test('waits for what other gateways have counted, and only then', async () => {
    const caller = callerWith('caller')

    expect(await ask({ mode: 'required', verdict: caller, waitMs: Promise.resolve(1) })).toBe('rate_limit_exceeded')
    expect(await ask({ mode: 'required', verdict: caller, waitMs: Promise.resolve(0) })).toBe(caller)
  })
})

describe('a key that looks like a token', () => {
  test.each<AuthMode>(['required', 'optional', 'none'])('is taken beside tokens in mode %s', async mode => {
    expect(await ask({ mode, credentials: DOTTED })).toMatchObject({ id: 'b' })
  })

  test('is told from one that is wrong where it allows too little', async () => {
    expect(await ask({ mode: 'none', need: 'operator', credentials: DOTTED_CALLER })).toBe(CALLS_ONLY)
  })

  test('waits where it is new', async () => {
    expect(await ask({ mode: 'required', credentials: DOTTED, waitMs: 1 })).toBe('rate_limit_exceeded')
  })
})

test('whoever waits is not held up where no credential is needed', async () => {
  expect(await ask({ mode: 'none', credentials: KEY, waitMs: 1 })).toBe(CALLS_ONLY)
  expect(await ask({ mode: 'none', need: 'operator', credentials: KEY, waitMs: 1 })).toBe('rate_limit_exceeded')
  expect(await ask({ mode: 'required', credentials: KEY, waitMs: 1 })).toBe('rate_limit_exceeded')
  expect(await ask({ mode: 'required', credentials: KEY })).toMatchObject({ id: 'a' })
})
