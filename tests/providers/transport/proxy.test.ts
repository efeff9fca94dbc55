import { describe, expect, test } from 'bun:test'
import { trustOf } from '#providers/transport/tls.ts'
import { proxyOf } from '#providers/transport/tunnel.ts'
import { makeCertificates } from '#tests/support/certificates.ts'
import { startProxy, startSecure } from '#tests/support/proxy.ts'
import { json, startUpstream } from '#tests/support/upstream.ts'
import { failureOf, openLine, post, storyOf } from './harness.ts'

const NO_FILES = { ca_file: null, cert_file: null, key_file: null, server_name: null }

describe('through a proxy', () => {
  test('a secured connection stands, and is kept', async () => {
    await using certificates = await makeCertificates()
    await using server = await startSecure(await certificates.issue('server'), null)
    await using proxy = await startProxy()
    await using line = openLine({
      proxy: proxyOf(proxy.url),
      trust: trustOf({ ...NO_FILES, ca_file: certificates.ca }),
    })
    const url = `https://localhost:${server.port}/v1/chat`

    for (let n = 0; n < 3; n++) expect(await (await line.send(post(url))).text(10)).toBe('ok')

    const host = `localhost:${server.port}`
    const credentials = Buffer.from('user:pass word').toString('base64')
    expect(proxy.asked).toEqual([
      `CONNECT ${host} HTTP/1.1\r\nhost: ${host}\r\nproxy-authorization: Basic ${credentials}\r\n\r\n`,
    ])
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })

  test('a plain one too, and the server sees nothing of it', async () => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using proxy = await startProxy()
    await using line = openLine({ proxy: proxyOf(proxy.url) })

    for (let n = 0; n < 2; n++) expect(await (await line.send(post(`${upstream.url}/v1/chat`))).text(10)).toBe('ok')

    expect(proxy.asked).toHaveLength(1)
    expect(upstream.requests.map(({ path }) => path)).toEqual(['/v1/chat', '/v1/chat'])
    expect(JSON.stringify(upstream.requests.map(({ headers }) => headers))).not.toContain('proxy')
  })

  test.each([
    ['refuses', 'HTTP/1.1 407 Who are you\r\ncontent-length: 5\r\n\r\nlogin', 'HTTP 407'],
    ['cannot reach the server', 'HTTP/1.1 502 Bad\r\n\r\n', 'HTTP 502'],
    ['is gone', '', 'has closed'],
  ])('the call fails and keeps no connection where the proxy %s', async (_, answer, told) => {
    await using proxy = await startProxy(answer)
    await using line = openLine({ proxy: proxyOf(proxy.url) })

    const failure = await failureOf(line.send(post('https://llm.test/v1')))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'proxy' })
    expect(JSON.stringify(failure.cause)).toContain(told)
    expect(JSON.stringify(failure.cause) + failure.message).not.toContain('pass')
    expect(line.sockets.counts()).toEqual({ open: 0, idle: 0 })
  })

  test('bytes that are no HTTP fail the call', async () => {
    await using proxy = await startProxy('SSH-2.0-OpenSSH_9.6\r\n')
    await using line = openLine({ proxy: proxyOf(proxy.url) })

    const failure = await failureOf(line.send(post('https://llm.test/v1')))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'proxy' })
    expect(failure.unsent).toBe(true)
  })

  test('a tunnel that cannot be secured, because a file has gone, is closed', async () => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using proxy = await startProxy()
    const trust = trustOf({ ...NO_FILES, ca_file: '/nowhere/ca.pem' })
    await using line = openLine({ proxy: proxyOf(proxy.url), trust })

    const failure = await failureOf(line.send(post(`https://127.0.0.1:${upstream.port}/`)))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'unusable' })
    await upstream.allClosed()
  })

  test('a proxy that is not there is a connection refused', async () => {
    const proxy = await startProxy()
    await proxy[Symbol.asyncDispose]()
    await using line = openLine({ proxy: proxyOf(proxy.url) })

    expect(storyOf(await failureOf(line.send(post('https://llm.test/v1'))))).toMatchObject({ reason: 'refused' })
  })

  test('a proxy that says nothing is left when the clock says so', async () => {
    await using upstream = await startUpstream(() => new Promise(() => {}))
    await using line = openLine({ proxy: proxyOf(upstream.url) })

    const failure = await failureOf(line.send(post('https://llm.test/v1'), { connect: 50 }))

    expect(failure.cause).toBe('connect timeout')
    await upstream.allClosed()
  })

  test('only where it is configured: the environment is not asked', async () => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using proxy = await startProxy()
    const before = process.env.HTTP_PROXY
    process.env.HTTP_PROXY = proxy.url
    try {
      await using line = openLine()
      expect(await (await line.send(post(upstream.url))).text(10)).toBe('ok')
    } finally {
      if (before === undefined) delete process.env.HTTP_PROXY
      else process.env.HTTP_PROXY = before
    }

    expect(proxy.asked).toEqual([])
  })

  test.each(['https://proxy:1', 'proxy:3128', 'http://proxy/path', 'socks5://proxy:1'])(
    '%s is not accepted as the address of a proxy',
    address => {
      expect(proxyOf(address)).toBeNull()
    },
  )
})

describe('certificates of the own', () => {
  test('prove who asks, and under which name the server is known', async () => {
    await using certificates = await makeCertificates()
    await using server = await startSecure(await certificates.issue('server'), certificates.ca)
    const own = await certificates.issue('gateway')
    const files = { ca_file: certificates.ca, cert_file: own.cert, key_file: own.key, server_name: 'localhost' }
    await using line = openLine({ trust: trustOf(files) })

    expect(await (await line.send(post(`https://127.0.0.1:${server.port}/`))).text(10)).toBe('ok')
    expect(server.names).toEqual(['gateway'])
  })

  test('are missed by a server that asks for them', async () => {
    await using certificates = await makeCertificates()
    await using server = await startSecure(await certificates.issue('server'), certificates.ca)
    await using line = openLine({ trust: trustOf({ ...NO_FILES, ca_file: certificates.ca }) })

    const failure = await failureOf(line.send(post(`https://localhost:${server.port}/`)).then(answer => answer.text(9)))

    expect(['upstream_error', 'upstream_tls_error']).toContain(failure.code)
    expect(server.names).toEqual([])
  })

  test('that cannot be read are no way to the server', async () => {
    await using line = openLine({ trust: trustOf({ ...NO_FILES, ca_file: '/nowhere/ca.pem' }) })

    const failure = await failureOf(line.send(post('https://localhost:1/')))

    expect(['upstream_error', 'upstream_tls_error']).toContain(failure.code)
  })
})
