import { describe, expect, test } from 'bun:test'
import { credentialsOf } from '#access/credential.ts'
import { createKeyring, type KeyDeclaration, type KeyringOptions } from '#access/keys.ts'
import { GatewayError } from '#core/errors.ts'
import { sha256 } from '#lib/hash.ts'
import { fakeClock } from '#tests/support/clock.ts'

const KEY = 'sk-web-0123456789'

function key(more: Partial<KeyDeclaration> = {}): KeyDeclaration {
  return {
    name: 'web',
    key: KEY,
    tenant: 'shop',
    role: 'caller',
    models: ['chat'],
    limits: { requests_per_minute: 60 },
    expires: null,
    ...more,
  }
}

function ring(options: Partial<KeyringOptions> = {}) {
  const clock = fakeClock()
  const keyring = createKeyring({ keys: [key()], adminKeys: [], mode: 'required', clock, ...options })
  const ask = (headers: Readonly<Record<string, string>>) => {
    const result = keyring.resolve(credentialsOf(new Headers(headers)))
    if (result instanceof Promise) throw new Error('a key of the configuration is resolved at once')
    return result instanceof GatewayError ? result.code : result.id
  }
  return { clock, keyring, ask }
}

describe('a key', () => {
  test('names its caller', () => {
    const { keyring } = ring()

    const caller = keyring.resolve({ authorization: `Bearer ${KEY}`, xApiKey: null, apiKey: null })

    expect(caller).toEqual({
      budget: null,
      id: 'web',
      name: 'web',
      tenant: 'shop',
      role: 'caller',
      models: new Set(['chat']),
      limits: { requests_per_minute: 60 },
      expiresAt: null,
    })
  })

  test('gives the same caller each time', () => {
    const { keyring } = ring()
    const credentials = { authorization: `Bearer ${KEY}`, xApiKey: null, apiKey: null }

    expect(keyring.resolve(credentials)).toBe(keyring.resolve(credentials))
    expect(keyring.resolve(credentials)).toBe(keyring.resolve({ authorization: null, xApiKey: KEY, apiKey: null }))
  })

  test('carries the limits that are written for it, also one of 0', () => {
    const { keyring } = ring({ keys: [key({ limits: { requests_per_minute: 0 }, tenant: null, models: null })] })

    expect(keyring.resolve({ authorization: `Bearer ${KEY}`, xApiKey: null, apiKey: null })).toMatchObject({
      limits: { requests_per_minute: 0 },
      tenant: 'default',
      models: null,
    })
  })

  test.each<[string, Record<string, string>]>([
    ['authorization', { authorization: `Bearer ${KEY}` }],
    ['any case of the scheme', { authorization: `bEARER ${KEY}` }],
    ['several spaces', { authorization: `Bearer   ${KEY}` }],
    ['x-api-key', { 'x-api-key': KEY }],
    ['api-key', { 'api-key': KEY }],
    ['all three that agree', { authorization: `Bearer ${KEY}`, 'x-api-key': KEY, 'api-key': KEY }],
    ['an empty authorization beside another', { authorization: '', 'x-api-key': KEY }],
    ['a bare scheme beside another', { authorization: 'Bearer', 'x-api-key': KEY }],
  ])('is read from %s', (_, headers) => {
    expect(ring().ask(headers)).toBe('web')
  })

  test.each<[string, Record<string, string>]>([
    ['unknown', { authorization: 'Bearer sk-wrong' }],
    ['one that only begins right', { authorization: `Bearer ${KEY}0` }],
    ['another scheme', { authorization: `Basic ${btoa(`x:${KEY}`)}` }],
    ['no scheme', { authorization: KEY }],
    ['two of them', { authorization: `Bearer ${KEY}, Bearer ${KEY}` }],
    ['two x-api-key', { 'x-api-key': `${KEY}, ${KEY}` }],
    ['headers that disagree', { authorization: `Bearer ${KEY}`, 'x-api-key': 'sk-other' }],
    ['headers that disagree, the good one second', { 'x-api-key': 'sk-other', 'api-key': KEY }],
    ['a good one beside a bad scheme', { authorization: 'Basic eDp5', 'x-api-key': KEY }],
    ['spaces within', { authorization: `Bearer ${KEY} ${KEY}` }],
    ['quotes of SQL', { authorization: `Bearer ' OR 1=1 --` }],
    ['very long', { authorization: `Bearer ${'x'.repeat(513)}` }],
    ['huge', { 'x-api-key': 'x'.repeat(1_000_000) }],
    ['the hash of the key', { authorization: `Bearer ${sha256(KEY)}` }],
    ['a placeholder', { authorization: 'Bearer EMPTY' }],
    ['a name of an object property', { authorization: 'Bearer __proto__' }],
  ])('is refused: %s', (_, headers) => {
    expect(ring().ask(headers)).toBe('invalid_api_key')
  })

  test('of 512 characters is taken', () => {
    const long = 'k'.repeat(512)

    expect(ring({ keys: [key({ key: long })] }).ask({ authorization: `Bearer ${long}` })).toBe('web')
  })

  test('is refused from the moment it expires, although it was known before', () => {
    const { ask, clock } = ring({ keys: [key({ expires: Date.UTC(2026, 0, 1) + 1000 })] })
    const headers = { authorization: `Bearer ${KEY}` }
    const before = ask(headers)
    clock.advance(1000)

    expect([before, ask(headers)]).toEqual(['web', 'invalid_api_key'])
  })

  test('that was good is refused beside another one, whichever of them was known', () => {
    const other = 'sk-other-0123456789'
    const { ask } = ring({ keys: [key(), key({ name: 'other', key: other })] })
    const carried = (value: string): readonly Readonly<Record<string, string>>[] => [
      { authorization: `Bearer ${value}` },
      { 'x-api-key': value },
      { 'api-key': value },
    ]
    const known = [...carried(KEY), ...carried(other)].map(ask)
    const pairs = carried(KEY).flatMap(one =>
      [...carried(other), ...carried('sk-unknown')].map(two => ({ ...two, ...one })),
    )
    const several = pairs.filter(headers => Object.keys(headers).length > 1)

    expect(known).toEqual(['web', 'web', 'web', 'other', 'other', 'other'])
    expect(several.map(ask)).toEqual(Array(12).fill('invalid_api_key'))
    expect(ask({ ...carried(KEY)[0], ...carried(KEY)[1] })).toBe('web')
  })

  test('is refused in the same words whatever is wrong with it', () => {
    const { keyring, clock } = ring({ keys: [key({ expires: 0 })] })
    const messages = [`Bearer ${KEY}`, 'Bearer wrong', `Bearer ${'x'.repeat(600)}`].map(authorization =>
      String(keyring.resolve({ authorization, xApiKey: null, apiKey: null })),
    )

    expect(clock.time()).toBeGreaterThan(0)
    expect(new Set(messages).size).toBe(1)
    expect(messages[0]).not.toContain('wrong')
  })

  test.each<[string, Record<string, string>]>([
    ['send it as "Authorization: Bearer <key>"', { authorization: KEY }],
    ['send it as "Authorization: Bearer <key>"', { authorization: `Basic ${btoa(`x:${KEY}`)}` }],
    ['the word "Bearer" was sent twice', { authorization: `Bearer Bearer ${KEY}` }],
    ['the word "Bearer" was sent twice', { authorization: `Bearer bearer  ${KEY}` }],
    ['it was sent with quotes around it', { authorization: `Bearer "${KEY}"` }],
    ['it was sent with quotes around it', { 'x-api-key': `'${KEY}'` }],
    ['the name of a variable was sent in its place', { authorization: 'Bearer $OPENAI_API_KEY' }],
    ['the name of a variable was sent in its place', { 'api-key': '{{ apiKey }}' }],
    ['several headers carry different keys, send one', { authorization: `Bearer ${KEY}`, 'x-api-key': 'sk-other' }],
  ])('that was sent in a wrong form is refused with what to do: %s', (fault, headers) => {
    const { keyring } = ring()

    const error = keyring.resolve(credentialsOf(new Headers(headers)))

    expect(error).toMatchObject({ code: 'invalid_api_key', message: `The API key is not valid: ${fault}.` })
  })

  test('that is a placeholder by declaration is a key', () => {
    expect(ring({ keys: [key({ key: 'ollama' })], mode: 'optional' }).ask({ authorization: 'Bearer ollama' })).toBe(
      'web',
    )
  })

  test('that is missing or refused says how to send one', () => {
    const { keyring } = ring()

    expect(keyring.resolve({ authorization: null, xApiKey: null, apiKey: null })).toMatchObject({
      code: 'missing_api_key',
      status: 401,
      headers: { 'www-authenticate': 'Bearer' },
    })
  })
})

describe('admin keys', () => {
  test('may do everything, each under a name of its own', () => {
    const { keyring, ask } = ring({ adminKeys: ['root-one', 'root-two'] })

    expect([ask({ 'x-api-key': 'root-one' }), ask({ 'x-api-key': 'root-two' })]).toEqual(['admin', 'admin-2'])
    expect(keyring.resolve({ authorization: 'Bearer root-one', xApiKey: null, apiKey: null })).toMatchObject({
      role: 'admin',
      models: null,
    })
  })
})

describe('the mode', () => {
  const none = {}
  const good = { authorization: `Bearer ${KEY}` }
  const wrong = { authorization: 'Bearer sk-wrong' }
  const placeholder = { authorization: 'Bearer sk-no-key-required' }
  const malformed = { authorization: 'Basic eDp5' }

  test.each<[KeyringOptions['mode'], Record<string, string>, string]>([
    ['none', none, 'anonymous'],
    ['none', good, 'anonymous'],
    ['none', wrong, 'anonymous'],
    ['none', placeholder, 'anonymous'],
    ['none', malformed, 'anonymous'],
    ['optional', none, 'anonymous'],
    ['optional', good, 'web'],
    ['optional', wrong, 'invalid_api_key'],
    ['optional', placeholder, 'anonymous'],
    ['optional', malformed, 'invalid_api_key'],
    ['required', none, 'missing_api_key'],
    ['required', good, 'web'],
    ['required', wrong, 'invalid_api_key'],
    ['required', placeholder, 'invalid_api_key'],
    ['required', malformed, 'invalid_api_key'],
    ['auto', none, 'missing_api_key'],
    ['auto', good, 'web'],
    ['auto', malformed, 'invalid_api_key'],
  ])('%s with %p: %s', (mode, headers, expected) => {
    const { ask } = ring({ mode })

    expect([ask(headers), ask(headers)]).toEqual([expected, expected])
  })

  test.each(['ollama', 'EMPTY', 'undefined', 'null', 'None', 'not-needed', 'lm-studio'])(
    'optional takes %s for no key',
    word => {
      expect(ring({ mode: 'optional' }).ask({ authorization: `Bearer ${word}` })).toBe('anonymous')
    },
  )

  test('auto is none until there is a key', () => {
    expect(ring({ keys: [], mode: 'auto' }).keyring.mode()).toBe('none')
    expect(ring({ mode: 'auto' }).keyring.mode()).toBe('required')
    expect(ring({ keys: [], adminKeys: ['root'], mode: 'auto' }).keyring.mode()).toBe('required')
  })

  test('none still knows who may do more than call', () => {
    const { ask } = ring({ mode: 'none', keys: [key({ role: 'viewer' })] })

    expect(ask(good)).toBe('web')
  })
})
