import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Started, start } from '#tests/e2e/child.ts'
import { startModelServer } from '#tests/support/gateway.ts'
import { openAiError, openAiScript } from '#tests/support/openai-upstream.ts'
import { freePort, freePorts } from '#tests/support/server-process.ts'
import { pause } from '#tests/support/upstream.ts'

/** A gateway in a process of its own that does something wrong. */
export interface Misbehaving extends AsyncDisposable {
  /** `host:port` of its metrics. */
  readonly address: string
  readonly url: string
  /** Makes what is wrong go on; called again and again. */
  provoke(): void
}

/** The secret with which alerts come to the failing gateway. */
export const ALERT_SECRET = 'secret-of-the-alerts'

const SLOW_MS = 5500
const STOPPED_MS = 400
/** How long a late turn of the event loop is remembered. */
const REMEMBERED_MS = 10_000
const BASE = `gateway: { discover: false, demo: false }
limits: { enabled: false }
load_balancer: { health_check_interval: 200ms, health_check_timeout: 1s }
`

/** One server fails every call until it is mended, one is not there, and the changed configuration is broken. */
export async function failing(): Promise<Misbehaving & { mend(): void }> {
  const nobody = await freePort()
  const sound = openAiScript()
  let isBroken = true
  const server = await startModelServer(request => {
    if (isBroken) return openAiError(500, 'out of memory', null)
    return typeof sound === 'function' ? sound(request) : sound
  })
  const file = `${BASE}
webhooks: { secrets: { alertmanager: ${ALERT_SECRET} } }
servers:
  - { id: gpu, kind: openai_compatible, base_url: "${server.url}" }
  - { id: gone, kind: openai_compatible, base_url: "http://127.0.0.1:${nobody}" }
models: { chat: { targets: [{ server: gpu, model: test-model }] } }
`
  const child = await start(file)
  const next = join(child.folder, 'next.yaml')
  await writeFile(next, `${file}servers: again\n`)
  await rename(next, join(child.folder, 'gateway.yaml'))
  return {
    // One of them tries whether the server is well again; the others find nobody.
    ...misbehaving(child, () => {
      for (let call = 0; call < 5; call++) ask(child)
    }),
    mend: () => {
      isBroken = false
    },
    [Symbol.asyncDispose]: () => end(child, server),
  }
}

/** Every answer takes longer than it should, and no question is asked twice. */
export async function slow(): Promise<Misbehaving> {
  const answer = openAiScript()
  const server = await startModelServer(async request => [
    pause(SLOW_MS),
    typeof answer === 'function' ? await answer(request) : answer,
  ])
  const child = await start(`${BASE}cache: { enabled: true }\n${chatAt(server.url)}`)
  let seed = 0
  return { ...misbehaving(child, () => ask(child, { seed: seed++ })), [Symbol.asyncDispose]: () => end(child, server) }
}

/** It may use less memory than it needs, and every few seconds it stops for a moment, twice. */
export async function pressed(): Promise<Misbehaving> {
  const child = await start('gateway: { discover: false, demo: true }\nperformance: { memory_limit_gb: 0.02 }\n')
  let isStuttering = false
  async function stutter(): Promise<void> {
    isStuttering = true
    for (let stop = 0; stop < 2; stop++) {
      child.kill('SIGSTOP')
      await Bun.sleep(STOPPED_MS)
      child.kill('SIGCONT')
      await Bun.sleep(STOPPED_MS)
    }
    await Bun.sleep(REMEMBERED_MS)
    isStuttering = false
  }
  return {
    ...misbehaving(child, () => {
      if (!isStuttering) void stutter()
    }),
    async [Symbol.asyncDispose]() {
      child.kill('SIGCONT')
      await end(child)
    },
  }
}

/** Its database is away, and a caller has spent nearly all that it may. */
export async function poor(): Promise<Misbehaving> {
  const [nobody, metrics] = await freePorts(2)
  const server = await startModelServer(openAiScript())
  const child = await start(`${BASE}
database: { url: "postgres://citadel@127.0.0.1:${nobody}/citadel" }
monitoring: { prometheus_port: ${metrics} }
auth:
  mode: required
  keys:
    - { name: rich, key: key-of-the-rich }
    - { name: poor, key: key-of-the-poor, budget: { usd: 0.00102, per: month } }
${chatAt(server.url, ', price: { input: 10, output: 10, request: 0 }')}`)
  return {
    ...misbehaving(child, () => {
      for (let call = 0; call < 10; call++) ask(child, { stream: true }, 'key-of-the-rich')
      ask(child, { max_tokens: 10 }, 'key-of-the-poor')
    }),
    address: `127.0.0.1:${metrics}`,
    [Symbol.asyncDispose]: () => end(child, server),
  }
}

function chatAt(url: string, more = ''): string {
  return `servers: [{ id: gpu, kind: openai_compatible, base_url: "${url}" }]
models: { chat: { targets: [{ server: gpu, model: test-model${more} }] } }
`
}

function misbehaving(child: Started, provoke: () => void) {
  return { address: new URL(child.url).host, url: child.url, provoke }
}

/** Calls the model; what becomes of it is for the metrics to tell. */
function ask({ url }: Started, more: object = {}, key = 'none'): void {
  const body = JSON.stringify({ model: 'chat', messages: [{ role: 'user', content: 'Hi' }], ...more })
  fetch(`${url}/v1/chat/completions`, { method: 'POST', body, headers: { authorization: `Bearer ${key}` } })
    .then(response => response.text())
    .catch(() => {})
}

async function end(...all: readonly AsyncDisposable[]): Promise<void> {
  for (const each of all) await each[Symbol.asyncDispose]()
}
