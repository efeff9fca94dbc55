import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { type Certificates, makeCertificates } from '#tests/support/certificates.ts'
import {
  configOf,
  type LogLine,
  type ModelServer,
  startGateway,
  startModelServer,
  type TestGateway,
} from '#tests/support/gateway.ts'
import { type Nginx, startNginx } from '#tests/support/nginx.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { freePort, freePorts } from '#tests/support/server-process.ts'
import { gate, hang, pause, type Script, sse } from '#tests/support/upstream.ts'
import { triedBlocks } from './tried.ts'

setDefaultTimeout(30_000)

let script: Script = openAiScript()
let server: ModelServer
let certificates: Certificates
let nginx: Nginx
let url: string
const gateways: TestGateway[] = []

beforeAll(async () => {
  server = await startModelServer(request => (typeof script === 'function' ? script(request) : script))
  // As the guide configures them.
  const start = (host: string) =>
    startGateway(
      configOf([server], {
        service: { host, trusted_proxies: ['127.0.0.1/32'] },
        cors: { origins: ['https://gateway.example'] },
      }),
    )
  // The first on an address of its own: once it is gone, another test may get its port, and nginx would send a call there
  // that it may not send again.
  gateways.push(await start('127.0.0.2'), await start('127.0.0.1'))
  certificates = await makeCertificates()
  const { cert, key } = await certificates.issue('gateway.example')
  const port = await freePort()
  const [site = ''] = triedBlocks('proxy.md', 'nginx')
  const here = site
    .replace('127.0.0.1:8001', `127.0.0.2:${gateways[0]?.port}`)
    .replace('127.0.0.1:8002', `127.0.0.1:${gateways[1]?.port}`)
    .replace('listen 443', `listen 127.0.0.1:${port}`)
    .replace('/etc/citadel/tls.pem', cert)
    .replace('/etc/citadel/tls.key', key)
  nginx = await startNginx(here, port)
  url = `https://localhost:${port}`
})
afterAll(async () => {
  await nginx[Symbol.asyncDispose]()
  for (const gateway of gateways) await gateway[Symbol.asyncDispose]()
  await server.close()
  await certificates[Symbol.asyncDispose]()
})

function call(path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(url + path, { ...init, tls: { ca: readFileSync(certificates.ca, 'utf8') } })
}

function chat(more: object = {}, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
  const body = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'Hi' }], ...more })
  return call('/v1/chat/completions', { method: 'POST', body, headers: { ...headers } })
}

function logged(values: LogLine): Promise<LogLine> {
  return Promise.race(gateways.map(gateway => gateway.logged(values)))
}

test('events come through one by one', async () => {
  const hold = gate()
  const [role = '', first = '', ...rest] = chatEvents('m')
  script = sse([role, first, hold, ...rest])

  const reader = ((await chat({ stream: true })).body ?? new ReadableStream<Uint8Array>()).getReader()
  let text = ''
  const read = async () => {
    const { done, value } = await reader.read()
    text += new TextDecoder().decode(value)
    return !done
  }
  while (!text.includes('Hello')) await read()
  const before = text
  hold.open()
  while (await read());

  expect(before).not.toContain('there')
  expect(text).toEndWith('data: [DONE]\n\n')
})

test('a client that leaves closes the model server', async () => {
  script = sse([...chatEvents('m').slice(0, 2), hang()])
  const asked = server.called(server.calls.length + 1)
  const controller = new AbortController()
  const reader = (
    (
      await call('/v1/chat/completions', {
        method: 'POST',
        body: '{"model":"chat","stream":true,"messages":[{"role":"user","content":"Hi"}]}',
        signal: controller.signal,
      })
    ).body ?? new ReadableStream()
  ).getReader()
  await reader.read()

  controller.abort()
  await (await asked).closed

  expect((await asked).closedBy).toBe('client')
})

test('nobody can claim another address', async () => {
  script = openAiScript()

  const response = await chat({}, { 'x-forwarded-for': '203.0.113.9' })

  expect(response.status).toBe(200)
  expect(await logged({ request_id: response.headers.get('x-request-id') })).toMatchObject({ client: '127.0.0.1' })
})

test('pages of its own name may call it, and others may not', async () => {
  script = openAiScript()

  const [own, other] = [
    await chat({}, { origin: 'https://gateway.example' }),
    await chat({}, { origin: 'https://evil.example' }),
  ]

  expect([own.status, other.status]).toEqual([200, 403])
})

test('bodies of some megabytes pass', async () => {
  script = openAiScript()

  expect((await chat({ messages: [{ role: 'user', content: 'x'.repeat(3_000_000) }] })).status).toBe(200)
})

test('metrics are not for everybody, at none of the paths that a gateway has for them', async () => {
  const paths = ['/metrics', '/metrics/', '/v1/metrics', '/v1/metrics/', '/%6detrics', '//v1//metrics']
  const from = `http://127.0.0.1:${gateways[1]?.port}`

  expect((await fetch(`${from}/v1/metrics/`)).status).toBe(200)
  expect(await Promise.all(paths.map(async path => [path, (await call(path)).status]))).toEqual(
    paths.map(path => [path, 404]),
  )
})

test('a gateway that is gone is not noticed, and no call is sent twice', async () => {
  script = openAiScript()
  const before = server.calls.length
  await gateways[0]?.[Symbol.asyncDispose]()
  gateways.shift()

  // In the words of whoever failed: nginx answers with a page, a gateway with JSON.
  const failures: string[] = []
  for (let n = 0; n < 20; n++) {
    const response = await chat()
    if (response.status !== 200) failures.push(`call ${n}: ${response.status} ${await response.text()}`)
  }

  expect(failures).toEqual([])
  expect(server.calls.length - before).toBe(20)
})

test('a proxy that cuts what is silent lets through what begins early', async () => {
  script = () => [pause(3000), sse(chatEvents('m'))]
  const early = { streams: { early_headers: '300ms', heartbeat: '300ms' } }
  await using at = await startGateway(configOf([server], early))
  const [through = 0, past = 0] = await freePorts(2)
  const site = (port: number, to: number) =>
    `server { listen 127.0.0.1:${port}; location / { proxy_pass http://127.0.0.1:${to}; proxy_set_header Host localhost; proxy_read_timeout 1s; } }`
  const silent = gateways[0]?.port ?? 0
  await using _ = await startNginx(`${site(through, at.port)}\n${site(past, silent)}`, through)
  const body = JSON.stringify({ model: 'chat', stream: true, messages: [{ role: 'user', content: 'Hi' }] })
  const ask = (port: number) => fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', body })

  const [begun, cutOff] = await Promise.all([ask(through), ask(past)])

  expect([begun.status, cutOff.status]).toEqual([200, 504])
  expect(await begun.text()).toMatch(/^(?:: ping\n\n){2,}data: .*data: \[DONE\]\n\n$/s)
  script = openAiScript()
})
