import { afterAll, beforeAll, expect, test } from 'bun:test'
import { configOf, type ModelServer, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents } from '#tests/support/openai-upstream.ts'
import { isOver, rawChat } from '#tests/support/raw-chat.ts'
import { type RawClient, rawClient, rawRequest } from '#tests/support/raw-client.ts'
import { bytes, head, json, pause, type Steps, sse } from '#tests/support/upstream.ts'

/** Longer than an idle connection is kept (65 s), so that whatever takes a quiet call for an idle one shows. */
const QUIET_MS = 70_000
const LIMIT_MS = 100_000
const [role = '', one = '', ...rest] = chatEvents('test-model', { deltas: ['One', ' two'] })
const WHOLE = JSON.stringify(chatCompletion('test-model'))

/** What a server does, by the words of the call. */
const scripts: Readonly<Record<string, () => Steps>> = {
  'a plain answer after a long silence': () => [pause(QUIET_MS), json(200, WHOLE)],
  'a plain answer with a long silence in its middle': () => [
    head(200, { 'content-type': 'application/json', 'content-length': String(WHOLE.length) }),
    bytes(WHOLE.slice(0, 50)),
    pause(QUIET_MS),
    bytes(WHOLE.slice(50)),
  ],
  'a stream after a long silence': () => [pause(QUIET_MS), sse([role, one, ...rest])],
  'a stream with a long silence after its headers': () => sse([pause(QUIET_MS), role, one, ...rest]),
  'a stream with a long silence after the role': () => sse([role, pause(QUIET_MS), one, ...rest]),
  'a stream with a long silence in its middle': () => sse([role, one, pause(QUIET_MS), ...rest]),
  'a plain answer that is slow': () => [pause(20_000), json(200, WHOLE)],
  'a stream that is slow': () => sse([role, one, pause(20_000), ...rest]),
}

let server: ModelServer
let gateway: TestGateway
let hasty: TestGateway

beforeAll(async () => {
  server = await startModelServer(request => {
    const { messages } = request.json() as { readonly messages: readonly { readonly content: string }[] }
    return scripts[messages[0]?.content ?? '']?.() ?? json(200, WHOLE)
  })
  const timeouts = { first_byte: '120s', first_token: '120s', idle: '90s' }
  gateway = await startGateway(configOf([server], { timeouts }))
  hasty = await startGateway(configOf([server], { timeouts, service: { keep_alive: '5s' } }))
})
afterAll(async () => {
  await gateway[Symbol.asyncDispose]()
  await hasty[Symbol.asyncDispose]()
  await server.close()
})

for (const name of Object.keys(scripts).filter(each => each.includes('long silence'))) {
  test.concurrent(
    `${name} arrives`,
    async () => {
      const client = ask(gateway, name)

      const text = await Promise.race([client.until(isWhole), client.ended])

      expect(text).toStartWith('HTTP/1.1 200 ')
      if (name.startsWith('a stream')) expect(text).toContain('data: [DONE]')
      else expect(text).toContain('Hello there!')
    },
    LIMIT_MS,
  )
}

test.concurrent(
  'a long silence in a stream is filled with comments',
  async () => {
    const client = ask(gateway, 'a stream with a long silence in its middle')

    const text = await client.until(isWhole)

    expect(text.split(': ping\n\n').length - 1).toBeWithin(3, 6)
  },
  LIMIT_MS,
)

test.concurrent(
  'an idle connection is closed when it was kept long enough',
  async () => {
    const client = rawClient(gateway.port, rawRequest('/livez', '', 'GET').replace('host: test', 'host: localhost'))
    await client.until(text => text.includes('"ok"'))
    const idleSince = performance.now()

    await client.ended

    expect(performance.now() - idleSince).toBeWithin(60_000, 80_000)
  },
  LIMIT_MS,
)

for (const name of ['a plain answer that is slow', 'a stream that is slow']) {
  test.concurrent(
    `a connection that has borne ${name} is closed like any other when it is idle`,
    async () => {
      const client = ask(hasty, name)
      await client.until(isWhole)
      const idleSince = performance.now()

      await client.ended

      expect(performance.now() - idleSince).toBeWithin(3000, 15_000)
    },
    LIMIT_MS,
  )
}

for (const [framing, piece, last] of [
  ['content-length: 24', ' ', ''],
  ['transfer-encoding: chunked', '1\r\n \r\n', '0\r\n\r\n'],
] as const) {
  test.concurrent(
    `a body that comes for longer than an idle connection is kept is read, and then that one is closed (${framing})`,
    async () => {
      const lines = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost'
      const client = rawClient(hasty.port, `${lines}\r\n${framing}\r\n\r\n`)
      for (let sent = 0; sent < 24; sent++) {
        await Bun.sleep(500)
        client.socket.write(piece)
      }
      client.socket.write(last)
      const text = await Promise.race([client.until(isWhole), client.ended])
      const idleSince = performance.now()

      await client.ended

      expect(text).toContain('invalid_json')
      expect(performance.now() - idleSince).toBeWithin(3000, 15_000)
    },
    LIMIT_MS,
  )
}

function ask(at: TestGateway, content: string): RawClient {
  return rawChat(at.port, { messages: [{ role: 'user', content }], stream: content.startsWith('a stream') })
}

/** Whether the answer has come to its end, as a stream or as a whole. */
function isWhole(text: string): boolean {
  return isOver(text) || /\r\n\r\n\{.*\}$/s.test(text)
}
