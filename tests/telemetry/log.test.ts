import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { newSecret, newSigningSecret } from '#access/secret.ts'
import { GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import { createLog, type LogOptions } from '#telemetry/log.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

function setup(more: Partial<LogOptions> = {}) {
  const clock = fakeClock()
  const writes: string[] = []
  const log = createLog({
    write: text => writes.push(text),
    clock,
    level: 'info',
    service: 'citadel-gateway',
    ...more,
  })
  function text(): string {
    log.flush()
    return writes.join('')
  }
  return {
    clock,
    log,
    writes,
    text,
    settle: (record: Partial<RequestRecord> = {}) =>
      log.subscriber({ type: 'request-settled', record: recordOf(record) }),
    lines: () =>
      text()
        .split('\n')
        .slice(0, -1)
        .map(line => JSON.parse(line)),
  }
}

describe('the line of a request', () => {
  test('never shows the route or the address of another request', () => {
    const { settle, lines } = setup()
    const sent: Partial<RequestRecord>[] = [
      { method: 'POST', caller: 'a', tenant: 't1', address: '10.0.0.1' },
      { method: 'GET', caller: 'a', tenant: 't2', address: '10.0.0.2' },
      { method: 'POST', caller: 'b', tenant: 't1', address: '10.0.0.1' },
      { method: 'POST', caller: null, tenant: null, address: '10.0.0.3' },
      { method: 'POST', caller: 'a', tenant: 't1', address: '10.0.0.2' },
      { method: 'POST', path: '/chat/completions?a="b"', caller: 'a', tenant: 't1', address: '10.0.0.1' },
    ]
    for (const record of [...sent, ...sent]) settle(record)

    const expected = sent.map(({ method, path = '/v1/chat/completions', caller, tenant, address }) => ({
      method,
      path: path.replace(/\?.*/, ''),
      route: '/v1/chat/completions',
      caller,
      tenant,
      client: address,
    }))
    expect(lines()).toMatchObject([...expected, ...expected])
  })

  test('has the outcome, the model, the timings and the tokens', () => {
    const { settle, lines } = setup()
    settle({ stream: true, firstTokenAt: 30.126, traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` })

    expect(lines()).toEqual([
      {
        time: '2026-01-01T00:00:00.000Z',
        level: 'info',
        service: 'citadel-gateway',
        message: 'request',
        request_id: '0190a0b0-0000-7000-8000-000000000001',
        method: 'POST',
        path: '/v1/chat/completions',
        route: '/v1/chat/completions',
        status: 200,
        code: null,
        duration_ms: 51,
        outcome: 'ok',
        model: 'chat',
        server: 'llm',
        upstream_model: 'mixtral',
        stream: true,
        attempts: 1,
        tokens_in: 12,
        tokens_out: 34,
        estimated: false,
        first_token_ms: 30.13,
        overhead_ms: 3,
        caller: 'web',
        tenant: 'shop',
        client: '203.0.113.7',
        trace_id: 'ab'.repeat(16),
      },
    ])
  })

  test('counts its times from when it came, and tokens of every class as those that went in', () => {
    const { settle, lines } = setup()
    const usage = { input: 1, cacheRead: 2, cacheWrite: 4, output: 8, reasoning: 0, estimated: false }
    const times = { startedNow: 1000, dialledAt: 1002, firstTokenAt: 1030, answeredAt: 1050, endedAt: 1051 }
    settle({ ...times, usage, stream: true })
    settle({ ...times, usage, stream: false })

    expect(lines()[0]).toMatchObject({
      duration_ms: 51,
      first_token_ms: 30,
      overhead_ms: 3,
      tokens_in: 7,
      tokens_out: 8,
    })
    // All of a plain answer comes at once.
    expect(lines()[1]).not.toHaveProperty('first_token_ms')
  })

  test('has no fields of a model when none was called', () => {
    const { settle, lines } = setup()
    settle({ model: null, server: null, upstreamModel: null, attempts: [], usage: null, dialledAt: 0 })

    const [line] = lines()

    expect(line).not.toContainAnyKeys(['model', 'server', 'attempts', 'tokens_in', 'overhead_ms', 'first_token_ms'])
  })

  test('lists the attempts when there were several, or when the only one failed, each with its cause', () => {
    const { settle, lines } = setup()
    const cause = { status: 500, code: 'out_of_memory', type: null }
    settle({ attempts: [attemptEntry('cloud', { result: 'upstream_error', ms: 1.239, cause }), attemptEntry('llm')] })
    settle({ attempts: [attemptEntry('llm', { result: 'upstream_timeout' })], status: 504, code: 'upstream_timeout' })

    const [two, one] = lines()

    expect(two.attempts).toBe(2)
    expect(two.attempt_list).toEqual([
      { server: 'cloud', result: 'upstream_error', ms: 1.24, error: 'status 500, code out_of_memory' },
      { server: 'llm', result: 'ok', ms: 20 },
    ])
    expect(one).toMatchObject({ attempt_list: [{ result: 'upstream_timeout' }], level: 'error' })
  })

  test('names the cache as the source of an answer that the request does not pay for, however it ended', () => {
    const { settle, lines } = setup()
    const [hit, shared] = (['hit', 'coalesced'] as const).map(status => ({ status, ageMs: 0, leftMs: 0 }))
    settle({ cache: hit, outcome: 'hit' })
    settle({ cache: shared, outcome: 'cancelled', status: 499, code: 'client_closed_request' })
    settle({ cache: shared, outcome: 'ok', heirOf: recordOf({}) })
    settle({ cache: { status: 'miss', ageMs: 0, leftMs: 0 } })

    const told = lines().map(line => [line.outcome, line.tokens_in, line.cache])

    expect(told).toEqual([
      ['hit', 12, 'hit'],
      ['cancelled', 12, 'coalesced'],
      ['ok', 12, undefined],
      ['ok', 12, undefined],
    ])
  })

  test('has the path without the query string', () => {
    const { settle, lines } = setup()
    settle({ path: '/v1/chat/completions?key=sk-secret' })

    expect(lines()[0].path).toBe('/v1/chat/completions')
  })

  test('has the internal cause of a failure, unless the caller caused it', () => {
    const { settle, lines } = setup()
    const story = { cause: 'connect ECONNREFUSED 10.0.0.5:11434' }
    settle({ status: 502, code: 'upstream_error', error: new GatewayError('upstream_error', 'public', story) })
    settle({ status: 400, code: 'invalid_request', error: new GatewayError('invalid_request', 'public', story) })

    const [failed, refused] = lines()

    expect(failed.error).toBe('connect ECONNREFUSED 10.0.0.5:11434')
    expect(refused.error).toBeUndefined()
  })

  test('has the level of an error, and the cause, when a stream that had begun well broke off', () => {
    const { settle, lines } = setup({ level: 'error' })
    const cut = new GatewayError('upstream_error', 'public', { cause: { reason: 'reset' } })
    const error = new GatewayError('stream_interrupted', 'public', { cause: cut })
    settle({ status: 200, stream: true, code: 'stream_interrupted', outcome: 'interrupted', error })
    const left = new GatewayError('client_closed_request', 'public')
    settle({ status: 200, stream: true, code: 'client_closed_request', outcome: 'cancelled', error: left })

    expect(lines()).toMatchObject([{ level: 'error', code: 'stream_interrupted', error: 'reason reset' }])
  })

  test('shortens the internal cause to a fixed length', () => {
    const { settle, lines } = setup()
    const circle: Record<string, unknown> = {}
    circle.self = circle
    for (const cause of [new Error('x'.repeat(9999)), { body: 'x'.repeat(99_999) }, circle, 7n]) {
      settle({ status: 500, error: new GatewayError('internal_error', 'public', { cause }) })
    }

    expect(lines().every(line => line.error.length <= 300)).toBe(true)
  })
})

describe('text from outside', () => {
  const nasty = [
    '\r\n{"level":"fatal"}',
    '","level":"fatal","x":"',
    '\\',
    '\\"',
    '\u0000\u0007\u001b[31m',
    'a\u2028b\u2029c',
    '\u007f\u009b2J',
    '\u202egnp.exe',
    '\ud800',
    '😀'.repeat(5),
  ]

  test.each(nasty)('%j cannot add a line or a field', text => {
    const { settle, lines, text: raw } = setup()
    settle({ path: `/${text}`, callerRequestId: text, model: text, upstreamModel: text, method: text, address: text })

    const [line, ...more] = lines()

    expect(more).toEqual([])
    expect(line.level).toBe('info')
    expect(line.caller_request_id).toBe(text)
    expect(raw().trimEnd()).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u)
  })

  test('may be any text without breaking the JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => {
        const { settle, lines } = setup()
        settle({ callerRequestId: text })

        expect(lines()[0].caller_request_id).toBe(text)
      }),
    )
  })

  test('is cut to a fixed length', () => {
    const { settle, text } = setup()
    settle({ path: `/${'x'.repeat(1_000_000)}`, callerRequestId: 'y'.repeat(1_000_000) })

    expect(text().length).toBeLessThan(5000)
  })
})

describe('secrets', () => {
  const secret = 'sk-live-0123456789'

  test('never appear, wherever they come in', () => {
    const { log, settle, text } = setup({ redact: [secret, `${secret}-and-more`, 'q"uo\\te/d', 'abc'] })
    settle({ path: `/v1/${secret}`, model: secret, callerRequestId: `x${secret}y`, upstreamModel: secret })
    settle({ path: `/v1/${encodeURIComponent('q"uo\\te/d')}`, callerRequestId: 'q"uo\\te/d' })
    settle({ status: 502, error: new GatewayError('upstream_error', 'm', { cause: { key: `${secret}-and-more` } }) })
    log.warn(`the key ${secret}`, { key: secret, nothing: 'abc' })

    expect(text()).not.toContain(secret)
    expect(text()).not.toContain('and-more')
    expect(text()).not.toContain('uo')
    expect(text()).toContain('"nothing":"abc"')
  })

  test('are known by their form where the gateway made them, since it keeps no more than a hash of each', () => {
    const { log, settle, text } = setup()
    const made = [newSecret().secret, newSigningSecret()]
    for (const each of made) {
      settle({ method: 'DELETE', path: `/management/keys/${each}`, callerRequestId: `x-${each}` })
      log.info('administered', { subject: JSON.stringify({ key: each }) })
    }

    for (const each of made) expect(text()).not.toContain(each)
    expect(text()).toContain('"path":"/management/keys/[redacted]"')
  })

  test('are removed before a text is cut, so that no part of one is left', () => {
    const { settle, text } = setup({ redact: [secret] })
    const cause = `${'x'.repeat(290)}${secret}`
    settle({ status: 502, error: new GatewayError('upstream_error', 'm', { cause }) })
    settle({ attempts: [attemptEntry('llm', { result: 'upstream_error', cause }), attemptEntry('llm')] })
    settle({ callerRequestId: `${'x'.repeat(2040)}${secret}` })

    expect(text()).not.toContain('sk-live')
  })

  test('are also removed when they were added after the start', () => {
    const { log, settle, text } = setup()
    settle({ upstreamModel: 'mixtral' })
    log.warn('before')
    log.configure({ level: 'warn', service: 'renamed', environment: 'stage "2"', redact: [secret] })
    log.info('not written')
    log.warn(secret)
    log.configure({ level: 'info', service: 'renamed', redact: [secret, 'mixtral'] })
    settle({ upstreamModel: 'mixtral' })

    expect(text()).toContain('"service":"citadel-gateway","message":"before"')
    expect(text()).toContain(String.raw`"service":"renamed","environment":"stage \"2\"","message":"[redacted]"`)
    expect(text()).not.toContain('not written')
    expect(text().match(/"upstream_model":"[^"]*"/g)).toEqual([
      '"upstream_model":"mixtral"',
      '"upstream_model":"[redacted]"',
    ])
  })
})

describe('events', () => {
  test('are log lines with their fields', () => {
    const { log, lines } = setup()
    log.warn('something', { count: 3, ok: true, nothing: null, 'a"b': 'c\nd' })

    expect(lines()).toEqual([
      {
        time: '2026-01-01T00:00:00.000Z',
        level: 'warn',
        service: 'citadel-gateway',
        message: 'something',
        count: 3,
        ok: true,
        nothing: null,
        'a"b': 'c\nd',
      },
    ])
  })

  test('below the log level are not written', () => {
    const { log, settle, lines } = setup({ level: 'warn' })
    log.debug('d')
    log.info('i')
    log.warn('w')
    settle()
    settle({ status: 502 })

    expect(lines().map(line => line.message)).toEqual(['w', 'request'])
  })

  test('of the fleet are written', () => {
    const { log, lines } = setup()
    log.subscriber({ type: 'health-changed', server: 'a', from: 'healthy', to: 'unhealthy', reason: 'refused' })
    log.subscriber({ type: 'health-changed', server: 'a', from: 'unhealthy', to: 'healthy', reason: null })
    log.subscriber({ type: 'config-reloaded', ok: false, message: 'line 3' })
    log.subscriber({ type: 'fleet-changed', message: 'found ollama' })
    log.subscriber({ type: 'fallback-taken', from: 'a', to: 'b', reason: 'upstream_error' })
    log.subscriber({ type: 'stream-opened' })
    log.subscriber({ type: 'database-called', operation: 'read', ok: true, ms: 499 })
    log.subscriber({ type: 'database-called', operation: 'write', ok: false, ms: 500.4 })
    log.subscriber({ type: 'dependency-changed', dependency: 'database', available: false, reason: 'refused' })
    log.subscriber({ type: 'dependency-changed', dependency: 'database', available: true, reason: null })
    log.subscriber({ type: 'administered', action: 'key-revoked', subject: 'k', tenant: 'shop', by: 'admin' })
    log.subscriber({ type: 'health-changed', server: 'a', from: 'healthy', to: 'degraded', reason: 'slow' })
    log.subscriber({ type: 'breaker-opened', server: 'a', model: 'm', reason: 'upstream_error', ms: 60_400 })
    log.subscriber({ type: 'breaker-closed', server: 'a', model: 'm' })
    log.subscriber({ type: 'credential-refused', server: 'a', model: 'm', left: 0 })
    log.subscriber({ type: 'server-registered', server: 'b', address: 'http://b', by: 'ops' })
    log.subscriber({ type: 'server-departed', server: 'b', reason: 'silent', by: null })
    log.subscriber({ type: 'server-drained', server: 'a', by: 'ops' })
    log.subscriber({ type: 'server-recovered', server: 'a', by: 'ops' })
    log.subscriber({ type: 'event-delivered', result: 'retried' })
    log.subscriber({ type: 'event-delivered', result: 'lost' })
    log.subscriber({ type: 'webhook-received', webhook: 'deploy', ok: true })
    log.subscriber({ type: 'webhook-received', webhook: 'deploy', ok: false })
    log.subscriber({ type: 'rows-delayed', reason: 'refused', waiting: 7 })
    log.subscriber({ type: 'rows-taken-again' })
    log.subscriber({ type: 'rows-lost', count: 7 })

    expect(lines()).toContainEqual(expect.objectContaining({ message: 'circuit breaker opened', seconds: 60 }))
    expect(lines().map(({ level, message }) => `${level} ${message}`)).toEqual([
      'warn server health changed',
      'info server health changed',
      'error configuration not reloaded',
      'info fleet changed',
      'info fallback taken',
      'warn slow database',
      'error dependency away',
      'info dependency back',
      'info administered',
      'warn server health changed',
      'warn circuit breaker opened',
      'info circuit breaker closed',
      'error a credential was refused',
      'info server registered',
      'warn server departed',
      'warn server drained',
      'info server takes requests again',
      'error an event could not be delivered',
      'info webhook received',
      'warn webhook refused',
      'warn rows wait for the database',
      'info the database takes rows again',
      'error rows are lost: neither the database nor the disk took them',
    ])
  })

  test('are written by the process that saw them, and by no other that hears of them', () => {
    const { log, text } = setup()
    log.subscriber({
      type: 'health-changed',
      server: 'a',
      from: 'healthy',
      to: 'unhealthy',
      reason: 'refused',
      heard: true,
    })
    log.subscriber({ type: 'config-reloaded', ok: true, message: 'fine', heard: true })

    expect(text()).toBe('')
  })

  test('carry the time to the millisecond', () => {
    const { log, lines, clock } = setup()
    for (const ms of [7, 992, 1, 0]) {
      clock.advance(ms)
      log.info('tick')
    }

    expect(lines().map(line => line.time.slice(17))).toEqual(['00.007Z', '00.999Z', '01.000Z', '01.000Z'])
  })
})

describe('writing lines', () => {
  test('waits for a tenth of a second, and then writes all lines at once', () => {
    const { log, writes, clock } = setup()
    log.info('one')
    clock.advance(50)
    log.info('two')
    const before = writes.length
    clock.advance(50)

    expect([before, writes.length, writes[0]?.split('\n').length]).toEqual([0, 1, 3])
  })

  test('happens at once when the buffer is full', () => {
    const { log, writes } = setup()
    for (let at = 0; at < 9; at++) log.info('x'.repeat(2000))

    expect(writes).toHaveLength(1)
    expect(writes[0]?.length).toBeWithin(16 * 1024, 18 * 1024)
  })

  test('happens at once for errors and at the end', () => {
    const { log, writes, clock } = setup()
    log.info('before')
    log.error('broken')
    const afterError = writes.length
    log.info('last words')
    log.close()

    expect([afterError, writes.length, clock.pending]).toEqual([1, 2, 0])
  })

  test('drops lines when it fails, counts them, and goes on', () => {
    let full = true
    const written: string[] = []
    const { log } = setup({
      write(text) {
        if (full) throw new Error('ENOSPC')
        written.push(text)
      },
    })
    log.info('one')
    log.info('two')
    log.flush()
    full = false
    log.info('three')
    log.flush()

    expect([log.dropped(), written.length]).toEqual([2, 1])
  })
})

describe('lines for people', () => {
  test('are short and written at once', () => {
    const { settle, log, writes } = setup({ pretty: true })
    settle()
    log.warn('something', { server: 'a', reason: null })

    expect(writes).toEqual([
      '00:00:00  POST  /v1/chat/completions  200  51 ms  chat → llm  12+34 tokens\n',
      '00:00:00  WARN  something  server=a\n',
    ])
  })

  test('say what went wrong, how often it was tried, and count the whole prompt', () => {
    const { settle, writes } = setup({ pretty: true })
    const usage = { input: 1, cacheRead: 2, cacheWrite: 4, output: 8, reasoning: 0, estimated: false }
    settle({
      usage,
      server: null,
      status: 502,
      code: 'upstream_error',
      error: new GatewayError('upstream_error', 'public', { cause: 'it "broke" off' }),
      attempts: [attemptEntry('llm', { result: 'upstream_error' }), attemptEntry('llm', { result: 'upstream_error' })],
    })

    expect(writes).toEqual([
      '00:00:00  POST  /v1/chat/completions  502  51 ms  chat → -  2 attempts  7+8 tokens  upstream_error  it "broke" off\n',
    ])
  })

  test('contain no terminal control characters and no secrets', () => {
    const { settle, log, writes } = setup({ pretty: true, redact: ['sk-secret'] })
    settle({ path: '/\u001b[2J\nsk-secret', model: null })
    log.info('\u001b]0;title\u0007')

    expect(writes.join('')).not.toMatch(/[^\P{Cc}\n]|sk-secret/u)
    expect(writes).toHaveLength(2)
    expect(writes[0]?.split('\n')).toHaveLength(2)
  })
})
