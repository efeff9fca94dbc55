import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { copyFile, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { makeCertificates } from '#tests/support/certificates.ts'
import { ollamaTags } from '#tests/support/ollama-upstream.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { json, startUpstream } from '#tests/support/upstream.ts'
import { run, type Started, start } from './child.ts'

setDefaultTimeout(30_000)

const WITHIN_MS = 5000
const ADMIN = { authorization: 'Bearer sk-of-an-admin' }
const DEMO = 'gateway: { discover: false, demo: true }\n'

/** A gateway of a name that asks for keys, and whatever else the text says. */
function named(name: string, more = '', workers = 1): string {
  return `${DEMO}service: { name: ${name}, workers: ${workers} }\nauth:\n  mode: required\n  admin_keys: [sk-of-an-admin]\n  failures_per_minute: 0\n${more}`
}

const write = (child: Pick<Started, 'folder'>, text: string) => writeFile(join(child.folder, 'gateway.yaml'), text)
const modelsStatus = async (url: string, key?: string) =>
  (await fetch(`${url}/v1/models`, key === undefined ? {} : { headers: { 'x-api-key': key } })).status

async function nameOf(url: string): Promise<string> {
  return ((await (await fetch(`${url}/health`)).json()) as { readonly gateway: string }).gateway
}

async function reload(url: string): Promise<{ readonly status: number; readonly text: string }> {
  const answer = await fetch(`${url}/management/config/reload`, { method: 'POST', headers: ADMIN })
  return { status: answer.status, text: await answer.text() }
}

describe.each([1, 2])('with %i workers', workers => {
  test('a file that has become empty is being written: it changes nothing, and what it then holds is taken over', async () => {
    await using child = await start(named('first', '', workers))

    await truncate(join(child.folder, 'gateway.yaml'))
    const answer = await reload(child.url)
    const open = await modelsStatus(child.url)
    await write(child, named('second', '', workers))
    await until('the new file is taken over', WITHIN_MS, async () => (await nameOf(child.url)) === 'second')

    expect(answer.status).toBe(400)
    expect(answer.text).toContain('gateway.yaml  is empty, and was not before')
    expect(open).toBe(401)
  })

  test('a key of a provider that changes in an environment file is taken over', async () => {
    await using server = await startUpstream(openAiScript())
    const folder = await ownFolder('citadel-env-')
    await using end = new AsyncDisposableStack()
    end.defer(folder.remove)
    const file = join(folder.path, 'keys.env')
    const keys = (key: string) => writeFile(file, `OPENAI_API_KEY=${key}\nOPENAI_BASE_URL=${server.url}/v1\n`)
    await keys('sk-one')
    const config = `gateway: { discover: false, demo: false }\nservice: { workers: ${workers} }\n`
    await using child = await start(config, {}, ['--env-file', file])
    const keyOfCall = async () => {
      const body = JSON.stringify({ model: 'test-model', messages: [{ role: 'user', content: 'Hi' }] })
      const answer = await fetch(`${child.url}/v1/chat/completions`, { method: 'POST', body, keepalive: false })
      await answer.text()
      return server.requests.findLast(({ method }) => method === 'POST')?.headers.authorization
    }

    await until('the server is asked', WITHIN_MS, async () => (await keyOfCall()) === 'Bearer sk-one')
    await keys('sk-two')
    await child.said(/configuration reloaded/, 'out')

    await until('the other key is used', WITHIN_MS, async () => (await keyOfCall()) === 'Bearer sk-two')
  })

  test('where Ollama is looked for is taken over from an environment file', async () => {
    await using first = await startUpstream(json(200, ollamaTags('of-the-first')))
    await using second = await startUpstream(json(200, ollamaTags('of-the-second')))
    await using end = new AsyncDisposableStack()
    const folder = await ownFolder('citadel-env-')
    end.defer(folder.remove)
    const file = join(folder.path, 'ollama.env')
    const tell = (port: number) => writeFile(file, `OLLAMA_HOST=127.0.0.1:${port}\n`)
    await tell(first.port)
    const config = `gateway: { discover: true, demo: false }\nservice: { workers: ${workers} }\n`
    await using child = await start(config, {}, ['--env-file', file])
    const models = async () => (await fetch(`${child.url}/v1/models`, { keepalive: false })).text()

    await until('the first is found', WITHIN_MS, async () => (await models()).includes('of-the-first'))
    await tell(second.port)
    await child.said(/configuration reloaded/, 'out')

    await until('the second is found', WITHIN_MS, async () => (await models()).includes('of-the-second'))
    expect(await models()).not.toContain('of-the-first')
  })

  test('the file of a secret that a reload has brought is watched', async () => {
    await using child = await start(named('first', '', workers))
    const key = join(child.folder, 'key')

    await writeFile(key, 'sk-one')
    await write(child, named('second', '  keys: [{ name: web, key_file: key }]\n', workers))
    await until('the key is good', WITHIN_MS, async () => (await modelsStatus(child.url, 'sk-one')) === 200)
    await writeFile(key, 'sk-two')
    await until('the other key is good', WITHIN_MS, async () => (await modelsStatus(child.url, 'sk-two')) === 200)

    expect(await modelsStatus(child.url, 'sk-one')).toBe(401)
  })

  test('the file of a secret that was missing at a reload is taken over when it comes', async () => {
    await using child = await start(named('first', '', workers))

    await write(child, named('second', '  keys: [{ name: web, key_file: key }]\n', workers))
    await child.said(/key does not exist/, 'out')
    await writeFile(join(child.folder, 'key'), 'sk-one')

    await until('the key is good', WITHIN_MS, async () => (await modelsStatus(child.url, 'sk-one')) === 200)
  })

  test('of two that overlap the one that was asked for last holds', async () => {
    await using child = await start(named('first', '', workers))
    const pipe = join(child.folder, 'pipe')
    spawnSync('sh', ['-c', `mkfifo ${pipe}`])

    await write(child, named('slow', '  keys: [{ name: web, key_file: pipe }]\n', workers))
    const slow = reload(child.url)
    // Opens when the gateway reads the other end.
    const key = Bun.spawn(['sh', '-c', `exec > ${pipe}; echo opened >&2; read _; echo sk-one`], {
      stdin: 'pipe',
      stderr: 'pipe',
    })
    await key.stderr.getReader().read()
    await write(child, named('last', '', workers))
    const last = reload(child.url)
    // It has every chance to come first, which it must not take.
    await Promise.race([last, Bun.sleep(1000)])
    key.stdin.write('go on\n')
    await key.stdin.end()
    const statuses = (await Promise.all([slow, last])).map(({ status }) => status)

    expect(statuses).toEqual([200, 200])
    expect(await nameOf(child.url)).toBe('last')
    expect(await modelsStatus(child.url, 'sk-one')).toBe(401)
  })
})

test('the file that nobody had to name changes nothing when it goes', async () => {
  await using child = await run(['start', '--port', '0'], { files: { 'config/gateway.yaml': named('first') } })
  const [, url = ''] = await child.said(/listens on (https?:\S+)/)

  await rm(join(child.folder, 'config/gateway.yaml'))
  const answer = await reload(url)

  expect(answer.status).toBe(400)
  expect(answer.text).toContain('config/gateway.yaml  does not exist')
  expect(await modelsStatus(url)).toBe(401)
})

test('certificates that were missing at a reload are taken over when they come', async () => {
  await using certificates = await makeCertificates()
  const { cert, key } = await certificates.issue('gateway')
  const copy = join(dirname(cert), 'copy.pem')
  const config = (name: string, file: string) =>
    named(name).replace('workers: 1', `workers: 1, tls: { cert_file: ${file}, key_file: ${key} }`)
  await using child = await start(config('first', cert))
  const ca = await readFile(certificates.ca, 'utf8')
  const name = async () =>
    ((await (await fetch(`${child.url}/health`, { tls: { ca } })).json()) as { gateway: string }).gateway

  await write(child, config('second', copy))
  await child.said(/copy\.pem/, 'out')
  await copyFile(cert, copy)

  await until('the certificate is there', WITHIN_MS, async () => (await name()) === 'second')
})

test('who asked for the reload is told which certificates cannot be used', async () => {
  await using certificates = await makeCertificates()
  const { cert, key } = await certificates.issue('gateway')
  const copy = join(dirname(cert), 'copy.pem')
  await copyFile(cert, copy)
  const tls = `workers: 1, tls: { cert_file: ${copy}, key_file: ${key} }`
  await using child = await start(named('first').replace('workers: 1', tls))

  await writeFile(copy, 'none')
  const answer = await fetch(`${child.url}/management/config/reload`, {
    method: 'POST',
    headers: ADMIN,
    tls: { ca: await readFile(certificates.ca, 'utf8') },
  })

  expect(answer.status).toBe(400)
  expect(await answer.text()).toContain('copy.pem')
})
