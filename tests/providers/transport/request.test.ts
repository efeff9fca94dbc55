import { describe, expect, test } from 'bun:test'
import { placeOf } from '#providers/transport/place.ts'
import { encodeRequest } from '#providers/transport/request.ts'
import { json, startUpstream } from '#tests/support/upstream.ts'
import { failureOf, openLine, post, storyOf } from './harness.ts'

const written = (...args: Parameters<typeof post>) => {
  const outgoing = post(...args)
  const { bytes, start, end } = encodeRequest(outgoing, placeOf(outgoing.url))
  return bytes.toString('utf8', start, end)
}

describe('a request as it is written', () => {
  test('is its line, its headers and its body, in one piece', () => {
    expect(written('http://host:81/a?b=c#d', '{"é":1}', { Authorization: 'Bearer k' })).toBe(
      'POST /a?b=c HTTP/1.1\r\nhost: host:81\r\nuser-agent: citadel-gateway\r\ncontent-type: application/json\r\n' +
        'Authorization: Bearer k\r\ncontent-length: 8\r\n\r\n{"é":1}',
    )
  })

  test('has its body in one piece, whatever pieces it came in', () => {
    const long = '€'.repeat(1_500_000)
    for (const body of [[], ['{"a":', '"é"', '}'], ['[', long, ',', long, ']']]) {
      const { bytes, start, end } = encodeRequest({ ...post('http://host/'), body }, placeOf('http://host/'))

      const [head, ...rest] = bytes.toString('utf8', start, end).split('\r\n\r\n')
      expect(rest).toEqual([body.join('')])
      expect(head).toEndWith(`\r\ncontent-length: ${Buffer.byteLength(body.join(''))}`)
    }
  })

  test('has no body and no length when there is none', () => {
    const { bytes, start, end } = encodeRequest(
      { method: 'GET', url: 'http://host/', headers: {}, body: null },
      placeOf('http://host/'),
    )

    expect(bytes.toString('utf8', start, end)).toBe(
      'GET / HTTP/1.1\r\nhost: host\r\nuser-agent: citadel-gateway\r\n\r\n',
    )
  })

  test('may say for itself whom it is for and from', () => {
    const text = written('http://host/', '', { Host: 'virtual', 'User-Agent': 'me' })

    expect(text).toStartWith('POST / HTTP/1.1\r\nhost: virtual\r\nuser-agent: me\r\ncontent-type')
  })

  test('never says twice how it is framed', () => {
    const headers = {
      'Content-Length': '1',
      'transfer-encoding': 'chunked',
      Connection: 'close',
      expect: '100-continue',
    }

    expect(written('http://host/', 'abc', headers)).toEndWith(
      'user-agent: citadel-gateway\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\nabc',
    )
  })

  test.each([0, 1, 80_000, 84_000, 90_000, 300_000])('counts the bytes of %d characters', count => {
    for (const character of ['x', 'é', '€', '\ud800']) {
      const text = written('http://host/', character.repeat(count))
      const [head = '', body = ''] = text.split('\r\n\r\n')

      expect(body).toBe(character.replace('\ud800', '\ufffd').repeat(count))
      expect(head).toEndWith(`content-length: ${Buffer.byteLength(body)}`)
    }
  })

  test.each([
    ['a line break in a value', { 'x-a': 'b\r\nx-c: d' }],
    ['NUL in a value', { 'x-a': '\0' }],
    ['a character that no header has', { 'x-a': '€' }],
    ['a line break in a name', { 'x-a\r\nx-b': 'c' }],
    ['an empty name', { '': 'c' }],
    ['more headers than there is room for', { 'x-a': 'b'.repeat(9000) }],
  ])('is not written with %s', async (_, headers) => {
    await using upstream = await startUpstream(json(200, 'ok'))
    await using line = openLine()

    const failure = await failureOf(line.send(post(upstream.url, '{}', headers)))

    expect(storyOf(failure)).toMatchObject({ code: 'upstream_error', reason: 'unusable' })
    expect(upstream.requests).toHaveLength(0)
  })
})

describe('an address', () => {
  test.each([
    ['http://host/a b', 'http://host', 'host', 80, '/a%20b'],
    ['https://HOST/?q', 'https://host', 'host', 443, '/?q'],
    ['https://host:8443/v1', 'https://host:8443', 'host', 8443, '/v1'],
    ['http://[::1]:1/', 'http://[::1]:1', '::1', 1, '/'],
  ])('is split: %s', (address, key, hostname, port, target) => {
    expect(placeOf(address)).toMatchObject({ origin: { key, hostname, port }, target })
  })

  test.each([
    'ftp://host/',
    'file:///etc/passwd',
    'data:,x',
    'no address',
    'http://user@host/',
    'http://:secret@host/',
  ])('is refused: %s', async address => {
    await using line = openLine()

    expect((await failureOf(line.send(post(address)))).code).toBe('upstream_error')
  })
})

test('a request that the server takes slowly arrives whole', async () => {
  const body = 'é'.repeat(8_000_000)
  const seen = { bytes: 0, last: '' }
  const server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      data(socket, data) {
        seen.bytes += data.length
        seen.last = data.subarray(-2).toString()
        socket.pause()
        setTimeout(() => socket.resume(), 1)
        if (seen.bytes > 16_000_000) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok')
      },
    },
  })
  await using line = openLine()

  const answer = await line.send(post(`http://127.0.0.1:${server.port}`, body))

  expect(await answer.text(10)).toBe('ok')
  expect(seen.last).toBe('é')
  expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  server.stop(true)
})
