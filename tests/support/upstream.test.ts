import { expect, test } from 'bun:test'
import { rawClient, rawRequest } from '#tests/support/raw-client.ts'
import {
  bytes,
  cut,
  gate,
  hang,
  head,
  html,
  inTurn,
  json,
  ndjson,
  reset,
  resplit,
  sse,
  startUpstream,
} from '#tests/support/upstream.ts'

test('answers several requests on one kept-alive connection', async () => {
  await using upstream = await startUpstream(
    inTurn(json(500, 'broken'), sse([{ n: 1 }, '[DONE]']), json(200, { n: 2 })),
  )

  const first = await fetch(upstream.url, { method: 'POST', body: 'one' })
  const answers = [await first.text()]
  for (let n = 0; n < 3; n++) answers.push(await (await fetch(upstream.url)).text())

  expect(first.status).toBe(500)
  expect(answers).toEqual(['broken', 'data: {"n":1}\n\ndata: [DONE]\n\n', '{"n":2}', '{"n":2}'])
  expect(upstream.connections).toBe(1)
  expect(upstream.requests.map(request => request.connection)).toEqual([1, 1, 1, 1])
})

test('records what was asked', async () => {
  await using upstream = await startUpstream(json(200, {}))

  await fetch(`${upstream.url}/v1/chat?x=1`, { method: 'POST', headers: { 'X-Key': 'a' }, body: '{"text":"häß"}' })
  const request = await upstream.received(1)

  expect(request).toMatchObject({ index: 0, method: 'POST', path: '/v1/chat?x=1', body: '{"text":"häß"}' })
  expect(request.headers).toMatchObject({ 'x-key': 'a', 'content-length': '16' })
  expect(request.json()).toEqual({ text: 'häß' })
})

test('reads pipelined and chunked requests that arrive byte by byte', async () => {
  await using upstream = await startUpstream(json(200, {}))
  const chunked = 'POST /b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n'

  const client = rawClient(upstream.port, '')
  for (const character of rawRequest('/a', 'first') + chunked) client.socket.write(character)
  await upstream.received(2)
  await client.until(text => text.split('HTTP/1.1 200').length === 3)

  expect(upstream.requests.map(({ path, body }) => [path, body])).toEqual([
    ['/a', 'first'],
    ['/b', 'abcde'],
  ])
})

test('delivers what came before a reset, then ECONNRESET', async () => {
  await using upstream = await startUpstream(sse([{ n: 1 }, reset()]))

  const client = rawClient(upstream.port, rawRequest('/'))
  const ended = await client.ended

  expect(ended).toBe('ECONNRESET')
  expect(client.text()).toEndWith('data: {"n":1}\n\n\r\n')
})

test('gives fetch ECONNRESET after what it has seen, or instead of an answer', async () => {
  const seen = gate()
  await using upstream = await startUpstream(inTurn(sse([{ n: 1 }, seen, reset()]), reset()))

  const reader = (await fetch(upstream.url, { method: 'POST' })).body?.getReader()
  const read = await reader?.read()
  seen.open()
  const failure = reader?.read()

  expect(new TextDecoder().decode(read?.value)).toBe('data: {"n":1}\n\n')
  await expect(failure).rejects.toMatchObject({ code: 'ECONNRESET' })
  await expect(fetch(upstream.url, { method: 'POST' })).rejects.toMatchObject({ code: 'ECONNRESET' })
})

test('ends with a FIN where the script is cut', async () => {
  await using upstream = await startUpstream(sse([{ n: 1 }, cut()]))

  const client = rawClient(upstream.port, rawRequest('/'))

  expect(await client.ended).toBe('end')
  expect(client.text()).not.toEndWith('0\r\n\r\n')
  await upstream.allClosed()
  expect(upstream.requests[0]?.closedBy).toBe('upstream')
})

test('delimits a stream by its connection', async () => {
  await using upstream = await startUpstream(ndjson([{ n: 1 }, { n: 2 }], { chunked: false }))

  const response = await fetch(upstream.url)

  expect(await response.text()).toBe('{"n":1}\n{"n":2}\n')
  expect(response.headers.get('content-type')).toBe('application/x-ndjson')
  expect(response.headers.get('transfer-encoding')).toBeNull()
})

test('separates reads at exact positions of the body', async () => {
  const body = 'data: {"text":"é"}\n\ndata: [DONE]\n\n'
  await using upstream = await startUpstream(sse(body, { chunked: false, split: [3, 16, 21] }))

  const client = rawClient(upstream.port, rawRequest('/'))
  await client.ended

  const sizes = client.reads.map(read => read.length)
  expect(sizes.slice(1)).toEqual([3, 13, 5, Buffer.byteLength(body) - 21])
})

test('counts split positions over the whole body, also around steps', async () => {
  const opened = gate()
  opened.open()
  await using upstream = await startUpstream(sse(['abc', opened, 'def'], { chunked: false, split: [4, 15] }))

  const client = rawClient(upstream.port, rawRequest('/'))
  await client.ended

  expect(client.reads.slice(1).map(read => Buffer.from(read).toString())).toEqual([
    'data',
    ': abc\n\n',
    'data',
    ': def\n\n',
  ])
})

test('sends 4,000 single bytes as 4,000 reads, chunk sizes and head included', async () => {
  const steps = resplit(sse(['x'.repeat(3900)]), 'every-byte')
  await using upstream = await startUpstream(steps)

  const client = rawClient(upstream.port, rawRequest('/'))
  await client.until(text => text.endsWith('0\r\n\r\n'))

  expect(client.reads.length).toBeGreaterThan(3900)
  expect(client.reads.every(read => read.length === 1)).toBe(true)
})

test('separates the reads of another process when the kernel confirms them', async () => {
  await using upstream = await startUpstream([[...'abcdefghij'].map(bytes), cut()], { reads: 'confirmed' })
  const program = `let reads = 0
    await Bun.connect({ hostname: '127.0.0.1', port: ${upstream.port}, socket: {
      open(socket) { socket.write('GET / HTTP/1.1\\r\\n\\r\\n') },
      data() { reads++ },
      close() { console.log(reads) },
    } })`

  const child = Bun.spawn([process.execPath, '-e', program], { stdout: 'pipe' })

  expect(await new Response(child.stdout).text()).toBe('10\n')
})

test('holds the script at a gate until the test opens it', async () => {
  const middle = gate()
  await using upstream = await startUpstream(sse(['one', middle, 'two']))

  const client = rawClient(upstream.port, rawRequest('/'))
  await middle.reached
  await client.until(text => text.includes('one'))
  const before = client.text()
  middle.open()

  expect(before).not.toContain('two')
  expect(await client.until(text => text.includes('two'))).toContain('data: two')
})

test('sees when the client leaves, in silence and behind a gate', async () => {
  await using upstream = await startUpstream(inTurn(hang(), sse(['one', gate()])))

  for (const nth of [1, 2]) {
    const leaving = new AbortController()
    const answer = fetch(upstream.url, { signal: leaving.signal }).then(response => response.text())
    answer.catch(() => {})
    const request = await upstream.received(nth)
    leaving.abort()

    await request.closed
    expect(request.closedBy).toBe('client')
  }
  await upstream.allClosed()
  expect(upstream.openSockets()).toBe(0)
})

test('sees a client leave that had stopped reading', async () => {
  await using upstream = await startUpstream([head(200), bytes(new Uint8Array(32_000_000)), hang()])

  const client = rawClient(upstream.port, rawRequest('/'))
  client.socket.pause()
  const request = await upstream.received(1)
  client.socket.destroy()
  await request.closed

  expect(request.closedBy).toBe('client')
  expect(request.written).toBeLessThan(32_000_000)
})

test('refuses connections after it was closed, and cuts the open ones', async () => {
  const upstream = await startUpstream(hang())

  const client = rawClient(upstream.port, rawRequest('/'))
  const request = await upstream.received(1)
  await upstream.close()

  expect(await client.ended).toBe('end')
  expect(request.closedBy).toBe('upstream')
  expect(await rawClient(upstream.port, '').ended).toBe('ECONNREFUSED')
})

test('answers with a web page as a broken proxy does', async () => {
  await using upstream = await startUpstream(html(502))

  const response = await fetch(upstream.url)

  expect(response.status).toBe(502)
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(await response.text()).toStartWith('<!doctype html>')
})
