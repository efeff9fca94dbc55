import { expect, setDefaultTimeout, test } from 'bun:test'
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { copyFile, writeFile } from 'node:fs/promises'
import { type ConnectionOptions, connect } from 'node:tls'
import { configSchema } from '#config/schema.ts'
import { tlsRenewal, untimely } from '#src/cli/tls.ts'
import { listen, type Tls } from '#src/server.ts'
import { type Certificates, makeCertificates } from '#tests/support/certificates.ts'
import { rawClient } from '#tests/support/raw-client.ts'
import { until } from '#tests/support/until.ts'
import { run, start } from './child.ts'

setDefaultTimeout(20_000)

/** What a client sees: who the server says it is, and the status of its answer, or how the handshake failed. */
async function visit(port: number, certificates: Certificates, more: ConnectionOptions = {}): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = connect({
    host: '127.0.0.1',
    port,
    servername: 'localhost',
    ca: readFileSync(certificates.ca),
    ...more,
  })
  socket.on('secureConnect', () => socket.write('GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n'))
  socket.on('data', data => {
    const { subject } = socket.getPeerCertificate()
    resolve(`${subject.CN} ${/^HTTP\/1.1 (\d+)/.exec(String(data))?.[1]}`)
    socket.destroy()
  })
  socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  socket.on('close', () => resolve('closed'))
  return promise
}

/** A new certificate and its key, as a server takes them. */
async function pairOf(certificates: Certificates, name: string): Promise<Tls> {
  const { cert, key } = await certificates.issue(name)
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), ca: null }
}

/** A gateway whose certificate stands in files that a test may change; `tls` adds to their configuration. */
async function startWith(certificates: Certificates, tls = '', workers = 1) {
  const first = await certificates.issue('first')
  const files = { cert: `${certificates.ca}.server`, key: `${certificates.ca}.server-key` }
  await Promise.all([copyFile(first.cert, files.cert), copyFile(first.key, files.key)])
  const child = await start(
    `gateway: { discover: false, demo: true }\nservice: { workers: ${workers}, tls: { cert_file: ${files.cert}, key_file: ${files.key}${tls} } }\n`,
  )
  return { child, files, port: Number(new URL(child.url).port) }
}

test('https is served from the files of the configuration, and nothing older than TLS 1.2', async () => {
  await using certificates = await makeCertificates()
  const { child, port } = await startWith(certificates)
  await using _ = child

  expect(child.url).toStartWith('https://')
  expect(await visit(port, certificates)).toBe('first 200')
  expect(await visit(port, certificates, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).toMatch(/PROTOCOL/)
})

test('only clients with a certificate of the authority get in', async () => {
  await using certificates = await makeCertificates()
  await using others = await makeCertificates()
  const [mine, foreign] = await Promise.all([certificates.issue('client'), others.issue('client')])
  const pair = (files: typeof mine) => ({ cert: readFileSync(files.cert), key: readFileSync(files.key) })
  const { child, port } = await startWith(certificates, `, ca_file: ${certificates.ca}`)
  await using _ = child

  expect(await visit(port, certificates, pair(mine))).toBe('first 200')
  expect(await visit(port, certificates)).not.toMatch(/200$/)
  expect(await visit(port, certificates, pair(foreign))).not.toMatch(/200$/)
})

test.each([1, 2])(
  'a certificate that has changed is taken over by %i, and one that does not fit changes nothing',
  async workers => {
    await using certificates = await makeCertificates()
    const { child, files, port } = await startWith(certificates, '', workers)
    await using _ = child
    const second = await certificates.issue('second')

    await writeFile(files.cert, '')
    await child.said(/configuration not reloaded.*service\.tls.*holds no certificate/, 'out')
    expect(await visit(port, certificates)).toBe('first 200')

    await copyFile(second.cert, files.cert)
    await child.said(/configuration not reloaded.*service\.tls.*another certificate/, 'out')
    expect(await visit(port, certificates)).toBe('first 200')

    await copyFile(second.key, files.key)
    await child.said(/configuration reloaded/, 'out')
    const visits = () => Promise.all(Array.from({ length: 16 }, () => visit(port, certificates)))
    await until('all have it', 10_000, async () => (await visits()).every(seen => seen === 'second 200'))
    expect(child.out()).not.toContain('unhandled')
  },
)

test.each(['start', 'check'])('files that cannot be used are told by %s, with the reason', async command => {
  const config = `service: { port: 0, tls: { cert_file: server.pem, key_file: server.key } }\n`

  await using missing = await run([command, '--config', 'gateway.yaml'], { files: { 'gateway.yaml': config } })

  expect(await missing.exited).toBe(78)
  expect(missing.err()).toMatch(/service\.tls: server\.pem and server\.key cannot be used: .*no such file/i)
})

test('an answer that is under way when the certificate changes goes on to its end', async () => {
  await using certificates = await makeCertificates()
  const [first, second] = await Promise.all([pairOf(certificates, 'first'), pairOf(certificates, 'second')])
  const body = new TransformStream<string, string>()
  const writer = body.writable.getWriter()
  const listener = listen({
    host: '127.0.0.1',
    port: 0,
    keepAliveSeconds: 10,
    tls: first,
    handle: async request =>
      new Response(request.url.endsWith('/stream') ? body.readable.pipeThrough(new TextEncoderStream()) : 'ok'),
  })
  const tls = { ca: readFileSync(certificates.ca, 'utf8') }
  void writer.write('before ')
  const stream = await fetch(`${listener.url}/stream`, { tls })

  listener.renew(second)
  const visited = await visit(listener.port, certificates)
  const stopped = listener.stop()
  await writer.write('after')
  await writer.close()

  expect(visited).toBe('second 200')
  expect(await stream.text()).toBe('before after')
  await stopped
})

test('a client that is connected when the certificate changes is answered, and told to connect anew', async () => {
  await using certificates = await makeCertificates()
  const [first, second] = await Promise.all([pairOf(certificates, 'first'), pairOf(certificates, 'second')])
  const handle = async () => new Response('ok')
  const listener = listen({ host: '127.0.0.1', port: 0, keepAliveSeconds: 10, tls: first, handle })
  const request = 'GET / HTTP/1.1\r\nhost: localhost\r\n\r\n'
  const client = rawClient(listener.port, request, { ca: readFileSync(certificates.ca), servername: 'localhost' })

  const before = await client.until(text => text.endsWith('ok'))
  listener.renew(second)
  client.socket.write(request)
  const ended = await client.ended
  const after = client.text().slice(before.length)

  expect(before).not.toMatch(/^connection: close/im)
  expect(after).toMatch(/^HTTP\/1.1 200 .*\r\nconnection: close\r\n.*ok$/is)
  expect(ended).toBe('end')
  expect(await visit(listener.port, certificates)).toBe('second 200')
  await listener.kill()
})

test('a certificate that is taken over after its time is told, and the metrics say when it ends', async () => {
  await using certificates = await makeCertificates()
  const { child, files } = await startWith(certificates)
  await using _ = child
  const endOf = (file: string) => Date.parse(new X509Certificate(readFileSync(file)).validTo) / 1000
  const ends = async () => {
    const metrics = await fetch(`${child.url}/metrics`, { tls: { rejectUnauthorized: false }, keepalive: false })
    return Number(/^gateway_certificate_expires_seconds (\S+)$/m.exec(await metrics.text())?.[1])
  }
  const late = await certificates.issue('late', -1)
  const told = [await ends()]

  await Promise.all([copyFile(late.cert, files.cert), copyFile(late.key, files.key)])
  const [line] = await child.said(/[^\n]*expired on [^\n]*/, 'out')
  told.push(await ends())

  expect(JSON.parse(line)).toMatchObject({ level: 'warn', message: expect.stringContaining(files.cert) })
  expect(told).toEqual([endOf(`${certificates.ca.replace(/ca\.pem$/, 'first.pem')}`), endOf(late.cert)])
})

test('several workers say once that their certificate is past its time', async () => {
  await using certificates = await makeCertificates()
  const { cert, key } = await certificates.issue('late', -1)
  const tls = `{ cert_file: ${cert}, key_file: ${key} }`
  await using child = await start(`gateway: { discover: false, demo: true }\nservice: { workers: 3, tls: ${tls} }\n`)
  child.kill('SIGTERM')
  await child.exited

  expect(child.out().match(/expired on/g)).toHaveLength(1)
})

test('a certificate is untimely before it is good and after', () => {
  const good = { from: Date.UTC(2026, 0, 2), until: Date.UTC(2026, 0, 3) }

  expect(untimely(good, 'a.pem', Date.UTC(2026, 0, 1))).toContain('a.pem is good only from 2026-01-02T00:00:00.000Z')
  expect(untimely(good, 'a.pem', good.from)).toBeNull()
  expect(untimely(good, 'a.pem', good.until + 1)).toContain('a.pem expired on 2026-01-03T00:00:00.000Z')
})

test('certificates that the runtime does not take leave those of before', async () => {
  await using certificates = await makeCertificates()
  const first = await pairOf(certificates, 'first')
  const handle = async () => new Response('ok')
  const listener = listen({ host: '127.0.0.1', port: 0, keepAliveSeconds: 10, tls: first, handle })

  expect(() => listener.renew({ ...first, cert: '' })).toThrow('cannot listen')
  expect(await visit(listener.port, certificates)).toBe('first 200')
  await listener.kill()
})

test('certificates that could not be taken are tried again at the next reload', async () => {
  await using certificates = await makeCertificates()
  const [first, second] = await Promise.all([certificates.issue('first'), certificates.issue('second')])
  const files = { cert_file: `${certificates.ca}.server`, key_file: `${certificates.ca}.server-key`, ca_file: null }
  const put = ({ cert, key }: typeof first) =>
    Promise.all([copyFile(cert, files.cert_file), copyFile(key, files.key_file)])
  await put(first)
  const config = configSchema.parse({ service: { tls: files } })
  const asked: Tls[] = []
  const renew = tlsRenewal(config, {
    renew(tls) {
      asked.push(tls)
      if (asked.length === 1) throw new Error('the port is lost')
    },
  })

  await put(second)
  expect(() => renew(config)).toThrow('the port is lost')
  renew(config)
  renew(config)

  expect(asked.map(({ cert }) => cert)).toEqual(Array(2).fill(readFileSync(second.cert, 'utf8')))
})

test('a port that was lost with other certificates is asked for with those of before, too', async () => {
  await using certificates = await makeCertificates()
  const [first, second] = await Promise.all([certificates.issue('first'), certificates.issue('second')])
  const configOf = (files: typeof first) =>
    configSchema.parse({ service: { tls: { cert_file: files.cert, key_file: files.key } } })
  const asked: string[] = []
  const renew = tlsRenewal(configOf(first), {
    renew({ cert }) {
      asked.push(cert)
      if (asked.length === 1) throw new Error('the port is lost')
    },
  })

  expect(() => renew(configOf(second))).toThrow('the port is lost')
  renew(configOf(first))
  renew(configOf(first))

  expect(asked).toEqual([readFileSync(second.cert, 'utf8'), readFileSync(first.cert, 'utf8')])
})

test('a server that takes nothing new stays so when its certificate changes', async () => {
  await using certificates = await makeCertificates()
  const [first, second] = await Promise.all([pairOf(certificates, 'first'), pairOf(certificates, 'second')])
  for (const way of ['deafen', 'stop'] as const) {
    const handle = async () => new Response('ok')
    const listener = listen({ host: '127.0.0.1', port: 0, keepAliveSeconds: 10, tls: first, handle })

    await listener[way]()
    listener.renew(second)

    expect(await visit(listener.port, certificates)).toBe('ECONNREFUSED')
    await listener.kill()
  }
})
