import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createPlainServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type TLSSocket } from 'node:tls'
import { $ } from 'bun'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { drain, failureOf, openLine, post, realClock, storyOf } from './harness.ts'

interface Identity {
  readonly key: string
  readonly cert: string
}

const UNSECURED = 'The connection to the model server could not be secured.'
const ANSWER = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok'
const AUTHORITY = `[ca]
default_ca = own
[own]
dir = .
database = index.txt
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = \${ENV::NAMES}
[req]
distinguished_name = none
[none]
`

let folder = ''

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'citadel-tls-'))
  await writeFile(join(folder, 'ca.cnf'), AUTHORITY)
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Makes a certificate that signs itself, valid from and until two points in time. */
async function identity(name: string, names: string, from: string, until: string): Promise<Identity> {
  const curve = 'ec_paramgen_curve:prime256v1'
  const at = $.cwd(folder).env({ ...process.env, NAMES: names })
  await writeFile(join(folder, 'index.txt'), '')
  await at`openssl req -new -newkey ec -pkeyopt ${curve} -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${name} -config ca.cnf`.quiet()
  await at`openssl ca -batch -selfsign -notext -config ca.cnf -keyfile ${name}.key -in ${name}.csr -out ${name}.pem -startdate ${from} -enddate ${until}`.quiet()
  return {
    key: await readFile(join(folder, `${name}.key`), 'utf8'),
    cert: await readFile(join(folder, `${name}.pem`), 'utf8'),
  }
}

/** A server that answers each read with the same words; counts what it has accepted, and whose session went on. */
async function startSecure({ key, cert }: Identity, alpn: string[] = ['http/1.1']) {
  const seen = { connections: 0, resumed: 0, protocols: [] as (string | false | null)[] }
  const server = createServer({ key, cert, ALPNProtocols: alpn }, (socket: TLSSocket) => {
    seen.connections++
    if (socket.isSessionReused()) seen.resumed++
    seen.protocols.push(socket.alpnProtocol)
    socket.on('error', () => {})
    socket.on('data', data => {
      const path = data.toString().split(' ')[1]
      if (path === '/big') flood(socket)
      else socket.write(ANSWER)
    })
  })
  server.on('tlsClientError', () => {})
  return { seen, ...(await listen(server)) }
}

function flood(socket: TLSSocket): void {
  const blob = Buffer.alloc(1024 * 1024, 'x')
  socket.write(`HTTP/1.1 200 OK\r\ncontent-length: ${32 * blob.length}\r\n\r\n`)
  for (let n = 0; n < 32; n++) socket.write(blob)
}

async function listen(server: Server) {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    url: `https://localhost:${port}`,
    async [Symbol.asyncDispose]() {
      server.close()
    },
  }
}

const good = () => identity('localhost', 'DNS:localhost', '20200101000000Z', '20991231000000Z')

describe('a secured connection', () => {
  test('stands on a certificate that is trusted, and speaks HTTP/1.1', async () => {
    const own = await good()
    await using server = await startSecure(own, ['h2', 'http/1.1'])
    await using line = openLine({ trust: { ca: own.cert } })

    for (let n = 0; n < 3; n++) expect(await (await line.send(post(server.url))).text(10)).toBe('ok')

    expect(server.seen).toMatchObject({ connections: 1, protocols: ['http/1.1'] })
    expect(line.sockets.counts()).toEqual({ open: 1, idle: 1 })
  })

  test('takes up the session of the one before', async () => {
    const own = await good()
    const clock = fakeClock()
    await using server = await startSecure(own)
    await using line = openLine({ clock, trust: { ca: own.cert }, idleMs: 1000 })
    await (await line.send(post(server.url))).text(10)
    clock.advance(1000)

    expect(await (await line.send(post(server.url))).text(10)).toBe('ok')
    expect(server.seen).toMatchObject({ connections: 2, resumed: 1 })
  })

  test('delivers all bytes to a reader that begins late', async () => {
    const own = await good()
    await using server = await startSecure(own)
    await using line = openLine({ trust: { ca: own.cert } })
    const answer = await line.send(post(`${server.url}/big`))
    await new Promise(resolve => setTimeout(resolve, 200))

    expect(await drain(answer)).toHaveLength(32 * 1024 * 1024)
  })

  test('carries a request with a large body', async () => {
    const own = await good()
    await using server = await startSecure(own)
    await using line = openLine({ trust: { ca: own.cert } })

    const answer = await line.send(post(server.url, 'x'.repeat(5_000_000)))

    expect(answer.head.status).toBe(200)
  })
})

describe('a connection that cannot be trusted', () => {
  const tell = async (url: string, ca?: string) => {
    await using line = openLine(ca === undefined ? {} : { trust: { ca } })
    const failure = await failureOf(line.send(post(url)))
    expect(line.sockets.counts().open).toBe(0)
    const code =
      typeof failure.cause === 'object' && failure.cause !== null && 'code' in failure.cause ? failure.cause.code : null
    return [failure.code, failure.message, code]
  }

  test('is refused when the certificate signs itself', async () => {
    await using server = await startSecure(await good())

    expect(await tell(server.url)).toEqual(['upstream_tls_error', UNSECURED, 'DEPTH_ZERO_SELF_SIGNED_CERT'])
  })

  test('is refused when the certificate is for another name', async () => {
    const own = await identity('other', 'DNS:other.example', '20200101000000Z', '20991231000000Z')
    await using server = await startSecure(own)

    expect(await tell(server.url, own.cert)).toEqual(['upstream_tls_error', UNSECURED, 'ERR_TLS_CERT_ALTNAME_INVALID'])
  })

  test('is refused when the certificate is for another address', async () => {
    const own = await good()
    await using server = await startSecure(own)

    const [code] = await tell(server.url.replace('localhost', '127.0.0.1'), own.cert)

    expect(code).toBe('upstream_tls_error')
  })

  test('is refused when the certificate has expired', async () => {
    const own = await identity('localhost', 'DNS:localhost', '20200101000000Z', '20200201000000Z')
    await using server = await startSecure(own)

    expect(await tell(server.url, own.cert)).toEqual(['upstream_tls_error', UNSECURED, 'CERT_HAS_EXPIRED'])
  })

  test('is refused when the port does not speak TLS', async () => {
    await using server = await listen(
      createPlainServer(socket => {
        socket.on('error', () => {})
        socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
      }),
    )

    expect(await tell(server.url)).toEqual(['upstream_tls_error', UNSECURED, 'EPROTO'])
  })

  test('fails as a connection when the server hangs up in the handshake', async () => {
    await using server = await listen(createPlainServer(socket => socket.destroy()))

    expect((await tell(server.url))[0]).toBe('upstream_error')
  })

  test('is bound by the connect clock when the server is silent in the handshake', async () => {
    const accepted = Promise.withResolvers<void>()
    await using server = await listen(
      createPlainServer(socket => {
        socket.on('error', () => {})
        accepted.resolve()
      }),
    )
    const clock = fakeClock()
    await using line = openLine({ clock })
    const failure = failureOf(line.send(post(server.url), { connect: 50 }))
    await accepted.promise
    await settled()

    clock.advance(50)

    expect(storyOf(await failure)).toMatchObject({ code: 'upstream_error', reason: 'connect timeout' })
    expect(line.sockets.counts().open).toBe(0)
  })

  test('is never tried without TLS', async () => {
    const own = await good()
    await using server = await startSecure(own)
    await using line = openLine({ clock: realClock, trust: { ca: own.cert } })

    const failure = await failureOf(
      line.send(post(server.url.replace('https:', 'http:'))).then(answer => answer.text(10)),
    )

    expect(['upstream_error', 'upstream_invalid_response']).toContain(failure.code)
  })
})
