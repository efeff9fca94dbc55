import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { GatewayError } from '#core/errors.ts'
import type { ResponseHead } from '#providers/transport/head.ts'
import { ResponseParser } from '#providers/transport/parser.ts'
import { piecesOf, type Split } from '#tests/support/splits.ts'

/** What a parser made of some bytes. */
interface Reading {
  status: number
  header: string | null
  encoding: string | null
  body: string
  ended: boolean
  persistent: boolean
  error: string | null
}

/** Reads bytes that arrive cut like this, and then the end of the connection if there is one. */
function read(
  bytes: string | Uint8Array,
  split: Split | 'every-byte' = [],
  { method = 'POST', closed = false } = {},
): Reading {
  const parser = new ResponseParser()
  const reading: Reading = {
    status: 0,
    header: null,
    encoding: null,
    body: '',
    ended: false,
    persistent: false,
    error: null,
  }
  const sink = {
    onHead(head: ResponseHead, encoding: string | null) {
      reading.status = head.status
      reading.header = head.header('x-test')
      reading.encoding = encoding
    },
    onBody(piece: Buffer, start: number, end: number) {
      reading.body += piece.toString('latin1', start, end)
    },
    onEnd() {
      reading.ended = true
    },
  }
  parser.begin(method)
  try {
    for (const piece of piecesOf(bytes, split)) {
      // A copy, since the parser may move bytes about in what it is given; the rest is what a socket would discard.
      if (!reading.ended) parser.push(Buffer.from(piece), sink)
    }
    if (closed && !reading.ended) parser.finish(sink)
    reading.persistent = reading.ended && parser.persistent
  } catch (thrown) {
    if (!(thrown instanceof GatewayError)) throw thrown
    reading.error = thrown.code === 'upstream_invalid_response' ? String(thrown.cause) : thrown.code
  }
  return reading
}

const OK = 'HTTP/1.1 200 OK\r\n'
const CHUNKED = `${OK}transfer-encoding: chunked\r\n\r\n`
const invalid = (text: string) => read(text).error

describe('a head', () => {
  test('gives its status and its headers', () => {
    expect(read(`${OK}X-Test:  a b\t\r\ncontent-length: 0\r\n\r\n`)).toMatchObject({
      status: 200,
      header: 'a b',
      ended: true,
    })
  })

  test('is read in no long time whatever blanks it has', () => {
    const value = `a${' '.repeat(60_000)}b`
    const before = process.cpuUsage()

    expect(read(`${OK}x-test: \t${value} \r\ncontent-length: 0\r\n\r\n`).header).toBe(value)
    expect(read(`${OK}connection: ${value}\r\ncontent-length: 0\r\n\r\n`).ended).toBe(true)
    expect(process.cpuUsage(before).user).toBeLessThan(500_000)
  })

  test('joins headers of the same name', () => {
    expect(read(`${OK}x-test: a\r\nX-TEST: b\r\ncontent-length: 0\r\n\r\n`).header).toBe('a, b')
  })

  test('may have empty values, obs-text and no reason', () => {
    expect(read('HTTP/1.1 200\r\nx-test:\r\nx-b: \u00e9\r\ncontent-length: 0\r\n\r\n')).toMatchObject({
      header: '',
      ended: true,
    })
  })

  test('is skipped when it is an interim one', () => {
    expect(
      read(`HTTP/1.1 103 Early\r\nx-test: no\r\ncontent-length: 5\r\n\r\n${OK}content-length: 2\r\n\r\nhi`),
    ).toMatchObject({
      status: 200,
      header: null,
      body: 'hi',
      persistent: true,
    })
  })

  const broken: readonly (readonly [string, string])[] = [
    ['no HTTP', 'SSH-2.0'],
    ['HTTP/2', 'HTTP/2 200 OK\r\n\r\n'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
    ['a status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['a status of four digits', 'HTTP/1.1 2000 OK\r\n\r\n'],
    ['a status below 100', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['a switch of protocols', 'HTTP/1.1 101 Switching\r\n\r\n'],
    ['LF alone behind the status', 'HTTP/1.1 200 OK\n'],
    ['LF alone behind a header', `${OK}a: b\n`],
    ['LF alone at the end', `${OK}a: b\r\n\n`],
    ['CR alone', `${OK}a: b\rc: d\r\n\r\n`],
    ['NUL', `${OK}a: b\0\r\n\r\n`],
    ['a folded line', `${OK}a: b\r\n c\r\n\r\n`],
    ['a folded first line', `${OK} a: b\r\n\r\n`],
    ['a space before the colon', `${OK}a : b\r\n\r\n`],
    ['a line without a colon', `${OK}a\r\n\r\n`],
    ['a header without a name', `${OK}: b\r\n\r\n`],
    ['201 headers', `${OK}${'a: b\r\n'.repeat(201)}\r\n`],
    ['a head of 64 kB', `${OK}a: ${'b'.repeat(65_536)}`],
    ['a line of 64 kB in interim answers', 'HTTP/1.1 100 OK\r\n\r\n'.repeat(4000)],
    ['a length that is no number', `${OK}content-length: x\r\n\r\n`],
    ['an empty length', `${OK}content-length:\r\n\r\n`],
    ['a signed length', `${OK}content-length: +5\r\n\r\n`],
    ['a negative length', `${OK}content-length: -5\r\n\r\n`],
    ['a hexadecimal length', `${OK}content-length: 0x5\r\n\r\n`],
    ['a list of lengths', `${OK}content-length: 5, 5\r\n\r\n`],
    ['a length of 16 digits', `${OK}content-length: 1000000000000000\r\n\r\n`],
    ['two lengths', `${OK}content-length: 5\r\nContent-Length: 6\r\n\r\n`],
    ['a length and chunks', `${OK}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['chunks and a length', `${OK}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n`],
    ['chunks twice', `${OK}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['chunks within chunks', `${OK}transfer-encoding: chunked, chunked\r\n\r\n`],
    ['another transfer coding', `${OK}transfer-encoding: gzip, chunked\r\n\r\n`],
    ['almost chunks', `${OK}transfer-encoding: xchunked\r\n\r\n`],
    ['chunks with another blank', `${OK}transfer-encoding: chunked\u00a0\r\n\r\n`],
    ['chunks in HTTP/1.0', 'HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n'],
  ]
  test.each(broken)('is refused: %s', (_, text) => {
    const error = invalid(text)

    expect(error).not.toBeNull()
    expect(read(text, 'every-byte').error).toBe(error)
  })

  test('may have 200 headers and almost 64 kB', () => {
    const head = `${OK}${'a: b\r\n'.repeat(198)}content-length: 0\r\nb: `
    const full = `${head}${'c'.repeat(65_536 - head.length - 4)}\r\n\r\n`

    expect(full).toHaveLength(65_536)
    expect(read(full)).toMatchObject({ ended: true, error: null })
    expect(read(full.replace('cc', 'ccc')).error).not.toBeNull()
  })
})

describe('a body', () => {
  test.each([
    ['with the same length twice', `${OK}content-length: 2\r\ncontent-length: 2\r\n\r\nhi`, 'hi'],
    ['of one chunk', `${CHUNKED}2\r\nhi\r\n0\r\n\r\n`, 'hi'],
    ['of chunks with zeros, capitals and blanks', `${CHUNKED}00A \r\n0123456789\r\n0\t;x\r\n\r\n`, '0123456789'],
    ['of chunks with extensions', `${CHUNKED}2;a="b c";d\r\nhi\r\n0;e\r\n\r\n`, 'hi'],
    ['with trailers', `${CHUNKED}2\r\nhi\r\n0\r\na: b\r\nc:\r\n\r\n`, 'hi'],
    ['of no chunk', `${CHUNKED}0\r\n\r\n`, ''],
  ])('%s', (_, text, body) => {
    expect(read(text)).toMatchObject({ body, ended: true, persistent: true, error: null })
  })

  test.each([
    ['204', 'POST', 'HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n'],
    ['304', 'POST', 'HTTP/1.1 304 No\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['an answer to HEAD', 'HEAD', `${OK}content-length: 5\r\ncontent-encoding: gzip\r\n\r\n`],
  ])('is not read behind %s', (_, method, text) => {
    expect(read(text, [], { method })).toMatchObject({ body: '', encoding: null, ended: true, persistent: true })
  })

  test('without a length ends with the connection', () => {
    const text = `${OK}\r\nall of it`

    expect(read(text)).toMatchObject({ body: 'all of it', ended: false })
    expect(read(text, [], { closed: true })).toMatchObject({ body: 'all of it', ended: true, persistent: false })
  })

  test.each([`${OK}content-length: 5\r\n\r\nabc`, `${CHUNKED}3\r\nabc\r\n`, OK])(
    'that is cut off has not ended: %j',
    text => {
      expect(read(text, [], { closed: true }).ended).toBe(false)
    },
  )

  test.each([
    ['a size that is none', 'x'],
    ['no size', '\r\n'],
    ['a size behind a blank', ' 2\r\nhi\r\n'],
    ['a signed size', '+2\r\nhi\r\n'],
    ['a size of twelve digits', '000000000002\r\nhi\r\n'],
    ['LF alone behind the size', '2\nhi\r\n'],
    ['LF alone in an extension', '2;a\nb\r\nhi\r\n'],
    ['an endless extension', `2;${'a'.repeat(5000)}`],
    ['no CR behind the data', '2\r\nhi\n'],
    ['more data than the size', '2\r\nhij\r\n'],
    ['LF alone behind the last chunk', '0\r\n\n'],
    ['a folded trailer', '0\r\na: b\r\n c\r\n\r\n'],
    ['endless trailers', `0\r\n${'a: b\r\n'.repeat(20_000)}`],
  ])('is refused: %s', (_, chunks) => {
    expect(invalid(CHUNKED + chunks)).not.toBeNull()
  })

  test('gives out what stood before the bytes that cannot be read', () => {
    expect(read(`${CHUNKED}2\r\nhi\r\nx`)).toMatchObject({ body: 'hi', ended: false })
  })
})

describe('a connection', () => {
  test.each([
    ['connection: close', `${OK}connection: close\r\ncontent-length: 2\r\n\r\nhi`, false],
    ['connection: Keep-Alive, Close', `${OK}connection: Keep-Alive, Close\r\ncontent-length: 2\r\n\r\nhi`, false],
    ['HTTP/1.0', 'HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi', false],
    ['HTTP/1.0 with keep-alive', 'HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi', true],
    ['bytes behind the answer', `${OK}content-length: 2\r\n\r\nhi!`, false],
    ['neither', `${OK}content-length: 2\r\n\r\nhi`, true],
  ])('is kept or closed after an answer with %s', (_, text, persistent) => {
    expect(read(text)).toMatchObject({ body: 'hi', ended: true, persistent })
  })
})

describe('however the bytes are cut', () => {
  const hex = (size: number) => size.toString(16)
  const name = fc.stringMatching(/^[a-zA-Z-]{1,12}$/)
  const value = fc.stringMatching(/^[ -~]{0,20}$/)
  const headers = fc
    .array(fc.tuple(name, value), { maxLength: 6 })
    .map(all => all.map(([n, v]) => `${n}: ${v}\r\n`).join(''))
  const pieces = fc.array(fc.string({ minLength: 1, maxLength: 30, unit: 'binary-ascii' }), { maxLength: 6 })
  const framed = fc
    .tuple(pieces, fc.constantFrom('length', 'chunked', 'close'), fc.boolean())
    .map(([all, how, more]) => {
      const body = all.join('')
      if (how === 'close') return `\r\n${body}`
      if (how === 'length') return `content-length: ${body.length}\r\n\r\n${body}${more ? 'more' : ''}`
      const chunks = all.map(piece => `${hex(piece.length)}${more ? ';a=b' : ''}\r\n${piece}\r\n`).join('')
      return `transfer-encoding: chunked\r\n\r\n${chunks}0\r\n${more ? 'x-t: y\r\n' : ''}\r\n`
    })
  const interim = fc.constantFrom('', 'HTTP/1.1 100 Continue\r\n\r\n', 'HTTP/1.1 103 Hints\r\nx-test: a\r\n\r\n')
  const answer = fc
    .tuple(interim, fc.constantFrom('200 OK', '404 Not Found', '204 No', '500'), headers, framed)
    .map(([before, status, fields, rest]) => `${before}HTTP/1.1 ${status}\r\n${fields}${rest}`)
  const cuts = fc.array(fc.nat(600), { maxLength: 12 }).map(all => [...new Set(all)].sort((a, b) => a - b))
  // A bare byte anywhere in it: most of what comes of that is no answer any more.
  const damaged = fc
    .tuple(answer, fc.nat(400), fc.constantFrom('\r', '\n', '\0', ' ', ':', '9', 'x', '\r\n'))
    .map(([text, at, byte]) => text.slice(0, at) + byte + text.slice(at + 1))

  test.each([
    ['whole answers', answer],
    ['damaged answers', damaged],
  ])('the same answer is read: %s', (_, texts) => {
    fc.assert(
      fc.property(texts, cuts, fc.boolean(), (text, split, closed) => {
        const bytes = Buffer.from(text, 'latin1')
        const { persistent, ...whole } = read(bytes, [], { closed })
        const { persistent: _a, ...parts } = read(bytes, split, { closed })
        const { persistent: _b, ...single } = read(bytes, 'every-byte', { closed })

        expect(parts).toEqual(whole)
        expect(single).toEqual(whole)
      }),
      { numRuns: 2000 },
    )
  })
})
