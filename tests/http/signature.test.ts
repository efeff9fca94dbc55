import { describe, expect, test } from 'bun:test'
import { createHash, createHmac } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { configFrom } from '#src/index.ts'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { type Asking, type Edge, edgeOf, errorOf } from './edge.ts'

const KEY = 'sk-of-the-partner'
const SECRET = 's-of-the-partner'
const auth = {
  keys: [
    { name: 'partner', key: KEY, role: 'viewer' as const, signing_secret: SECRET },
    { name: 'other', key: 'sk-of-another' },
  ],
}
const QUESTION = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] })

function headersOf(at: number, method: string, path: string, body = ''): Record<string, string> {
  const hash = createHash('sha256').update(body).digest('hex')
  const hmac = createHmac('sha256', SECRET).update(`${method}\n${path}\n${at}\n${hash}`).digest('hex')
  return { authorization: `Bearer ${KEY}`, 'x-citadel-timestamp': String(at), 'x-citadel-signature': `v1=${hmac}` }
}

function signedCall(edge: Edge, more: Asking = {}): Promise<Response> {
  const headers = { ...headersOf(edge.clock.time(), 'POST', '/v1/chat/completions', QUESTION), ...more.headers }
  return edge.chat({ body: QUESTION, ...more, headers })
}

describe('a key with a signing secret', () => {
  test('is good only for signed requests, each of them once', async () => {
    const edge = await edgeOf({ auth })
    const unsigned = await edge.chat({ headers: { authorization: `Bearer ${KEY}` } })

    expect((await errorOf(unsigned)).code).toBe('invalid_signature')
    expect((await signedCall(edge)).status).toBe(200)
    expect((await signedCall(edge)).status).toBe(401)
  })

  test('has to sign its GET requests, too', async () => {
    const edge = await edgeOf({ auth })
    const ask = (path: string, signed: string) =>
      edge.ask(path, { headers: headersOf(edge.clock.time(), 'GET', signed) })

    expect((await ask('/v1/models?x=1', '/v1/models?x=1')).status).toBe(200)
    expect((await ask('/v1/models?x=2', '/v1/models?x=1')).status).toBe(401)
    expect((await ask('/metrics', '/metrics')).status).toBe(200)
    expect((await ask('/metrics', '/v1/models')).status).toBe(401)
  })

  test('signs the body as it was before it was compressed', async () => {
    await using server = await startModelServer(openAiScript())
    await using gateway = await startGateway(configOf([server], { auth }))
    const body = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'Hi' }] })
    const headers = { ...headersOf(Date.now(), 'POST', '/v1/chat/completions', body), 'content-encoding': 'gzip' }

    const response = await gateway.chat({}, { body: gzipSync(body), headers })

    expect(response.status).toBe(200)
    expect((await server.called(1)).body).toContain('"Hi"')
    expect((await server.called(1)).headers).not.toHaveProperty('x-citadel-signature')
  })

  test('asks no signature of other keys', async () => {
    const edge = await edgeOf({ auth })

    expect((await edge.chat({ headers: { authorization: 'Bearer sk-of-another' } })).status).toBe(200)
  })

  test('waits after so many wrong signatures of an address, and only there', async () => {
    const edge = await edgeOf({ auth: { ...auth, failures_per_minute: 3 } })
    const wrong = { 'x-citadel-signature': `v1=${'0'.repeat(64)}` }
    const statuses: number[] = []
    for (let n = 0; n < 5; n++) statuses.push((await signedCall(edge, { headers: wrong })).status)
    const elsewhere = await signedCall(edge, { from: '203.0.113.8' })
    const waiting = await signedCall(edge)
    await edge.pass(20_000)

    expect(statuses).toEqual([401, 401, 401, 429, 429])
    expect([elsewhere.status, waiting.status, waiting.headers.get('retry-after')]).toEqual([200, 429, '20'])
    expect((await signedCall(edge)).status).toBe(200)
  })

  test('does not wait because of wrong keys from its address', async () => {
    const edge = await edgeOf({ auth: { ...auth, failures_per_minute: 3 } })
    await signedCall(edge)
    for (let n = 0; n < 5; n++) await edge.chat({ headers: { authorization: `Bearer sk-guess-${n}` } })
    edge.clock.advance(1)

    expect((await signedCall(edge)).status).toBe(200)
  })

  test('has its limits, and its body has those of every body', async () => {
    const edge = await edgeOf({ auth, service: { max_body: 10 } })

    expect((await signedCall(edge)).status).toBe(413)
  })

  test('is not fooled by a change of the configuration', async () => {
    const edge = await edgeOf({ auth })
    await signedCall(edge)
    edge.gateway.reload(configFrom({ gateway: { demo: true, discover: false }, auth }))

    expect((await signedCall(edge)).status).toBe(401)
  })
})
