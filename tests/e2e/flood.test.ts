import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { gzipSync } from 'node:zlib'
import { callBody, type ModelServer, startModelServer } from '#tests/support/gateway.ts'
import { type LiveGateway, startLiveGateway } from '#tests/support/live-gateway.ts'
import { chatCompletion } from '#tests/support/openai-upstream.ts'
import { bytes, chunk, head, json, type Step, type Steps } from '#tests/support/upstream.ts'

const MEGABYTE = 1024 * 1024
const RSS_GROWTH_MAX = 150 * MEGABYTE
const SLOW_MS = 30_000
const spaces = new Uint8Array(MEGABYTE).fill(0x20)
const type = 'application/json'

/** 200 MB of JSON in 200 kB. */
const bomb = gzipSync(
  Buffer.concat([Buffer.from('{"choices":["'), Buffer.alloc(200 * MEGABYTE, 'a'), Buffer.from('"]}')]),
)

interface Flood {
  readonly name: string
  readonly stream: boolean
  readonly steps: () => Steps
  readonly code: string
}

const floods: readonly Flood[] = [
  {
    name: 'a body of 1 GB that says its length',
    stream: false,
    steps: () => [
      head(200, { 'content-type': type, 'content-length': String(1024 * MEGABYTE) }),
      gigabyte(bytes(spaces)),
    ],
    code: 'upstream_invalid_response',
  },
  {
    name: 'a body of 1 GB in chunks',
    stream: false,
    steps: () => endless(200, type),
    code: 'upstream_invalid_response',
  },
  {
    name: 'an error of 1 GB',
    stream: false,
    steps: () => endless(500, type),
    code: 'all_targets_failed',
  },
  {
    name: 'a stream of 1 GB without an event',
    stream: true,
    steps: () => endless(200, 'text/event-stream'),
    code: 'upstream_invalid_response',
  },
  {
    name: '200 kB that unpack to 200 MB',
    stream: false,
    steps: () => zipped(type),
    code: 'upstream_invalid_response',
  },
  {
    name: 'a stream that unpacks to one event of 200 MB',
    stream: true,
    steps: () => zipped('text/event-stream'),
    code: 'upstream_invalid_response',
  },
  {
    name: 'a plain answer to a stream that unpacks to 200 MB',
    stream: true,
    steps: () => zipped(type),
    code: 'upstream_invalid_response',
  },
]

let server: ModelServer
let gateway: LiveGateway
let steps: Steps = []

describe('a server that sends too much', () => {
  beforeAll(async () => {
    server = await startModelServer(() => steps)
    gateway = await startLiveGateway(
      JSON.stringify({
        models: { chat: { endpoint: server.url } },
        limits: { enabled: false },
        load_balancer: { circuit_breaker_enabled: false },
      }),
    )
  }, SLOW_MS)
  afterAll(async () => {
    await gateway.stop()
    await server.close()
  })

  for (const flood of floods) {
    test(
      `${flood.name} is cut off, and the memory stays`,
      async () => {
        steps = flood.steps()
        const before = await rss()

        const response = await call({ stream: flood.stream })
        const { error } = (await response.json()) as { readonly error: { readonly code: string } }
        const asked = server.calls.at(-1)

        expect(error.code).toBe(flood.code)
        await asked?.played
        expect(asked?.written).toBeLessThan(64 * MEGABYTE)
        expect((await rss()) - before).toBeLessThan(RSS_GROWTH_MAX)
      },
      SLOW_MS,
    )
  }

  test('the gateway goes on answering', async () => {
    steps = json(200, chatCompletion('chat'))

    const response = await call({})

    expect(response.status).toBe(200)
  })
})

/** A thousand and twenty-four times the same megabyte. */
function gigabyte(step: Step): Steps {
  return Array.from({ length: 1024 }, () => step)
}

function endless(status: number, contentType: string): Steps {
  return [head(status, { 'content-type': contentType, 'transfer-encoding': 'chunked' }), gigabyte(chunk(spaces))]
}

function zipped(contentType: string): Steps {
  const headers = { 'content-type': contentType, 'content-encoding': 'gzip', 'content-length': String(bomb.length) }
  return [head(200, headers), bytes(bomb)]
}

function call(more: object): Promise<Response> {
  return fetch(`${gateway.url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(callBody(more)) })
}

/** Bytes that the gateway's process holds, as it says itself. */
async function rss(): Promise<number> {
  const { memory } = (await (await fetch(`${gateway.url}/health/detailed`)).json()) as {
    readonly memory: { readonly rss_bytes: number }
  }
  return memory.rss_bytes
}
