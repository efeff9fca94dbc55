import { describe, expect, test } from 'bun:test'
import type { GatewayError } from '#core/errors.ts'
import { createDial } from '#providers/transport/dial.ts'
import { createNames } from '#providers/transport/names.ts'
import { trustOf } from '#providers/transport/tls.ts'
import { proxyOf } from '#providers/transport/tunnel.ts'
import { makeCertificates } from '#tests/support/certificates.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { startProxy, startSecure } from '#tests/support/proxy.ts'
import { json, startUpstream } from '#tests/support/upstream.ts'
import { failureOf, openLine, post, storyOf } from './harness.ts'

/** Dials a name at addresses that stand, fail or stay silent as the test says. */
function dialling(...addresses: readonly string[]) {
  const clock = fakeClock()
  const dialled: string[] = []
  const failures: GatewayError[] = []
  const attempts = new Map<string, PromiseWithResolvers<unknown>>()
  const names = createNames(clock, async () => addresses)
  const dial = createDial(clock, names)
  return {
    clock,
    dialled,
    failures,
    names,
    begin: () =>
      dial('llm.example', {
        connect(address) {
          const attempt = Promise.withResolvers<unknown>()
          dialled.push(address)
          attempts.set(address, attempt)
          return attempt.promise
        },
        failed: error => failures.push(error),
      }),
    async stands(address: string) {
      attempts.get(address)?.resolve(null)
      await settled()
    },
    async fails(address: string) {
      attempts.get(address)?.reject(Object.assign(new Error('Failed to connect'), { code: 'ECONNREFUSED' }))
      await settled()
    },
  }
}

describe('the addresses of a name', () => {
  test('are dialled a quarter of a second apart while they are silent', async () => {
    const { begin, clock, dialled } = dialling('2001:db8::1', '192.0.2.1', '192.0.2.2')
    begin()
    await settled()

    expect(dialled).toEqual(['2001:db8::1'])
    clock.advance(249)
    expect(dialled).toEqual(['2001:db8::1'])
    clock.advance(1)
    expect(dialled).toEqual(['2001:db8::1', '192.0.2.1'])
    clock.advance(250)
    expect(dialled).toEqual(['2001:db8::1', '192.0.2.1', '192.0.2.2'])
    expect(clock.pending).toBe(0)
  })

  test('are dialled at once after one that fails', async () => {
    const { begin, clock, dialled, fails } = dialling('192.0.2.1', '192.0.2.2')
    begin()
    await settled()

    await fails('192.0.2.1')

    expect(dialled).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(clock.pending).toBe(0)
  })

  test('are left alone once one stands, and that one is the first next time', async () => {
    const { begin, clock, dialled, names, stands, failures } = dialling('192.0.2.1', '192.0.2.2', '192.0.2.3')
    begin()
    await settled()
    clock.advance(250)

    await stands('192.0.2.2')
    clock.advance(1000)

    expect(dialled).toEqual(['192.0.2.1', '192.0.2.2'])
    expect(failures).toEqual([])
    expect(await names.find('llm.example')).toEqual(['192.0.2.2', '192.0.2.1', '192.0.2.3'])
  })

  test('are a failure only when the last of them has failed', async () => {
    const { begin, failures, fails } = dialling('192.0.2.1', '192.0.2.2')
    begin()
    await settled()
    await fails('192.0.2.1')
    expect(failures).toEqual([])

    await fails('192.0.2.2')

    expect(failures.map(storyOf)).toMatchObject([{ code: 'upstream_error', reason: 'refused' }])
  })

  test('are not dialled for somebody who has left', async () => {
    const { begin, clock, dialled, failures, fails } = dialling('192.0.2.1', '192.0.2.2')
    begin()()
    await settled()
    expect(dialled).toEqual([])

    const leave = begin()
    await settled()
    leave()
    clock.advance(1000)
    await fails('192.0.2.1')

    expect(dialled).toEqual(['192.0.2.1'])
    expect(failures).toEqual([])
  })
})

describe('over sockets', () => {
  const url = (port: number) => `http://llm.example:${port}/v1`
  const kept = { 'content-length': '2', connection: 'close' }

  test('a family that nobody listens on costs nothing, and the server sees the name', async () => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using line = openLine({ lookup: async () => ['::1', '127.0.0.1'] })

    expect(await (await line.send(post(url(upstream.port)))).text(10)).toBe('ok')

    expect(upstream.connections).toBe(1)
    expect(upstream.requests[0]?.headers.host).toBe(`llm.example:${upstream.port}`)
  })

  test('localhost is found where it listens', async () => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using line = openLine()

    expect(await (await line.send(post(`http://localhost:${upstream.port}/`))).text(10)).toBe('ok')
  })

  test('of several servers under one name one is connected to, and no other', async () => {
    await using first = await startUpstream(json(200, 'ok'))
    await using second = await startUpstream(json(200, 'ok'), { hostname: '127.0.0.2', port: first.port })
    await using line = openLine({ lookup: async () => ['127.0.0.2', '127.0.0.1'] })

    for (let n = 0; n < 3; n++) await (await line.send(post(url(first.port)))).text(10)

    expect([first.connections, second.connections]).toEqual([0, 1])
  })

  test('an address too many that stands is closed, and disturbs nobody', async () => {
    // The clock stands at a quarter of a second before either connection can have come about.
    const clock = fakeClock()
    await using first = await startUpstream(json(200, 'ok'))
    await using second = await startUpstream(json(200, 'ok'), { hostname: '127.0.0.2', port: first.port })
    await using line = openLine({ clock, lookup: async () => ['127.0.0.1', '127.0.0.2'] })
    const answer = line.send(post(url(first.port)))
    while (clock.pending < 2) await Promise.resolve()
    clock.advance(250)

    expect(await (await answer).text(10)).toBe('ok')

    const loser = first.requests.length === 0 ? first : second
    await loser.allClosed()
    expect(first.requests.length + second.requests.length).toBe(1)
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })

  test('a name that moves is followed with the next connection after one has failed', async () => {
    const addresses = ['127.0.0.1']
    await using old = await startUpstream(json(200, 'ok', kept))
    await using line = openLine({ lookup: async () => addresses })
    await (await line.send(post(url(old.port)))).text(10)
    await old.close()
    await using moved = await startUpstream(json(200, 'new'), { hostname: '127.0.0.2', port: old.port })
    addresses[0] = '127.0.0.2'

    const failure = await failureOf(line.send(post(url(moved.port))))
    expect(storyOf(failure).reason).toBe('refused')
    expect(await (await line.send(post(url(moved.port)))).text(10)).toBe('new')
  })

  test('a name that moves is followed after five seconds where the old address still listens', async () => {
    const clock = fakeClock()
    const addresses = ['127.0.0.1']
    await using old = await startUpstream(json(200, 'old', kept))
    await using moved = await startUpstream(json(200, 'new', kept), { hostname: '127.0.0.2', port: old.port })
    await using line = openLine({ clock, lookup: async () => addresses })
    const ask = async () => (await line.send(post(url(moved.port)))).text(10)
    expect(await ask()).toBe('old')
    addresses[0] = '127.0.0.2'

    clock.advance(4999)
    expect(await ask()).toBe('old')
    clock.advance(1)
    expect(await ask()).toBe('new')
  })

  test('a name is asked for once while its connections are kept, and never for an address', async () => {
    let asked = 0
    const clock = fakeClock()
    await using upstream = await startUpstream(json(200, 'ok'))
    const lookup = async () => {
      asked++
      return ['127.0.0.1']
    }
    await using line = openLine({ clock, lookup })

    for (let n = 0; n < 3; n++) {
      await (await line.send(post(url(upstream.port)))).text(10)
      clock.advance(6000)
    }
    await (await line.send(post(upstream.url))).text(10)

    expect(asked).toBe(1)
  })

  test('a certificate has to hold for the name, whatever the address', async () => {
    await using certificates = await makeCertificates()
    await using server = await startSecure(await certificates.issue('server'), null)
    const trust = trustOf({ ca_file: certificates.ca, cert_file: null, key_file: null, server_name: null })
    await using line = openLine({ trust, lookup: async () => ['::1', '127.0.0.1'] })
    await using named = openLine({ trust: { ...trust, serverName: 'localhost' }, lookup: async () => ['127.0.0.1'] })

    expect(await (await line.send(post(`https://localhost:${server.port}/`))).text(10)).toBe('ok')
    expect(await (await named.send(post(`https://llm.example:${server.port}/`))).text(10)).toBe('ok')
    const failure = await failureOf(line.send(post(`https://llm.example:${server.port}/`)))
    expect(storyOf(failure)).toMatchObject({ code: 'upstream_tls_error', reason: 'tls' })
  })

  test('the name of a proxy is looked up, too', async () => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using proxy = await startProxy()
    const address = proxy.url.replace('127.0.0.1', 'proxy.example')
    await using line = openLine({ proxy: proxyOf(address), lookup: async () => ['::1', '127.0.0.1'] })

    expect(await (await line.send(post(`${upstream.url}/v1`))).text(10)).toBe('ok')
    expect(proxy.asked).toHaveLength(1)
  })

  test('a name that cannot be resolved is told as such', async () => {
    await using line = openLine({ lookup: () => Promise.reject(new Error('getaddrinfo ENOTFOUND')) })

    const failure = await failureOf(line.send(post('http://llm.example/')))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'dns' })
    expect(line.sockets.counts().open).toBe(0)
  })
})
