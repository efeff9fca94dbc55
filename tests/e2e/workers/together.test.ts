import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { chatCompletion, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, json, startUpstream, type Upstream } from '#tests/support/upstream.ts'
import { start } from '../child.ts'
import { call, heldServer, startWorkers, until, workersOf } from './crew.ts'

setDefaultTimeout(60_000)

/** So many connections in a row, each of which may be any worker's, that all workers have been asked. */
const EVERYBODY = 20
const ADMIN = { authorization: 'Bearer sk-of-the-admin' }

/** Whether every worker answers so. */
async function allSay(url: string, path: string, says: (text: string) => boolean): Promise<boolean> {
  const answers = Array.from({ length: EVERYBODY }, () =>
    fetch(url + path, { keepalive: false, headers: ADMIN }).then(response => response.text()),
  )
  return (await Promise.all(answers)).every(says)
}

function opened() {
  const open = gate()
  open.open()
  return heldServer(open)
}

const probesOf = ({ requests }: Upstream) => requests.filter(({ path }) => path.endsWith('/health')).length

describe('the fleet', () => {
  test('is probed by one worker for all, and by another one when that dies', async () => {
    await using server = await opened()
    await using gateway = await startWorkers(server, 'load_balancer: { health_check_interval: 200ms }', 3)
    /** The time that so many probes take, in milliseconds. */
    async function timeOf(probes: number): Promise<number> {
      const before = probesOf(server)
      const since = performance.now()
      await until('they were made', () => probesOf(server) >= before + probes)
      return performance.now() - since
    }
    await timeOf(2)
    const first = await timeOf(10)
    process.kill(workersOf(gateway)[0] ?? 0, 'SIGKILL')
    await until('another one serves', () => (gateway.out().match(/a worker serves/g) ?? []).length === 4)
    await timeOf(2)
    const second = await timeOf(10)

    // Three that each probe every 200 ms would take a third of two seconds.
    expect(first).toBeGreaterThan(1500)
    expect(second).toBeGreaterThan(1500)
  })

  test('is known to every worker as the one that probes has found it, to those that come later too', async () => {
    const server = await opened()
    const settings = 'load_balancer: { health_check_interval: 100ms, unhealthy_threshold: 2 }'
    await using gateway = await startWorkers(server, settings)
    await until('all know that it is well', () =>
      allSay(gateway.url, '/models/status', text => text.includes('"healthy"')),
    )
    await server.close()
    await until('all know that it is not', () =>
      allSay(gateway.url, '/models/status', text => text.includes('"unhealthy"')),
    )
    process.kill(workersOf(gateway)[1] ?? 0, 'SIGKILL')
    await until('another one serves', () => (gateway.out().match(/a worker serves/g) ?? []).length === 3)

    expect(await allSay(gateway.url, '/models/status', text => text.includes('"unhealthy"'))).toBe(true)
  })
})

describe('the configuration', () => {
  const config = (more: string) =>
    `gateway: { discover: false, demo: true }\nauth: { mode: none, admin_keys: [sk-of-the-admin] }\nlimits: { enabled: false }\n${more}`
  const withModel = (name: string, service = '') =>
    config(
      `service: { workers: 2, drain_delay: 300ms${service} }\nmodels: { ${name}: { endpoint: "http://127.0.0.1:1" } }\n`,
    )

  test('is watched once and taken over by all', async () => {
    await using gateway = await start(withModel('before'))
    await writeFile(join(gateway.folder, 'gateway.yaml'), withModel('after'))

    await until('all have it', () => allSay(gateway.url, '/v1/models', text => text.includes('"after"')))
    expect(await allSay(gateway.url, '/v1/models', text => !text.includes('"before"'))).toBe(true)

    const serving = () => gateway.out().match(/a worker serves/g)?.length
    process.kill(workersOf(gateway)[1] ?? 0, 'SIGKILL')
    await until('another one is there', () => serving() === 3)
    expect(await allSay(gateway.url, '/v1/models', text => text.includes('"after"'))).toBe(true)
    expect(gateway.out().match(/configuration reloaded/g)).toHaveLength(1)
  })

  test('that any worker is asked to read again is there for all when it answers; a wrong one for nobody', async () => {
    await using gateway = await start(withModel('before'))
    const file = join(gateway.folder, 'gateway.yaml')
    const reload = () => fetch(`${gateway.url}/management/config/reload`, { method: 'POST', headers: ADMIN })
    await writeFile(file, `${withModel('after')}nonsense: 1\n`)
    const wrong = await reload()
    const told = await wrong.text()
    const unchanged = await allSay(gateway.url, '/v1/models', text => text.includes('"before"'))
    await writeFile(file, withModel('after'))
    const right = await reload()

    expect([wrong.status, right.status, unchanged]).toEqual([400, 200, true])
    expect(told).toContain('nonsense')
    expect(await allSay(gateway.url, '/v1/models', text => text.includes('"after"'))).toBe(true)
  })

  test('needs no restart on SIGHUP: others take the place of the workers', async () => {
    await using gateway = await start(withModel('before'))
    const workers = workersOf(gateway)
    await writeFile(join(gateway.folder, 'gateway.yaml'), withModel('after', ', keep_alive: 30s'))
    gateway.kill('SIGHUP')
    await gateway.said(/every worker was replaced/, 'out')
    await until('the old ones have ended', () => !workersOf(gateway).some(pid => workers.includes(pid)))

    expect(await allSay(gateway.url, '/v1/models', text => text.includes('"after"'))).toBe(true)
    expect(
      await allSay(gateway.url, '/management/config', text => text.includes('"30s"') || text.includes('30000')),
    ).toBe(true)
  })

  test('takes over how long a stop waits, too', async () => {
    const text = withModel('before').replace('drain_delay: 300ms', 'drain_delay: 50s')
    await using gateway = await start(text)
    await writeFile(join(gateway.folder, 'gateway.yaml'), text.replace('50s', '10ms'))
    gateway.kill('SIGHUP')
    await gateway.said(/every worker was replaced/, 'out')
    const stoppedAt = performance.now()
    gateway.kill('SIGTERM')

    expect(await gateway.exited).toBe(0)
    expect(performance.now() - stoppedAt).toBeLessThan(25_000)
  })

  test('that could not replace the workers does so when it is asked for again', async () => {
    await using gateway = await start(withModel('before'))
    const workers = workersOf(gateway)
    await writeFile(join(gateway.folder, 'gateway.yaml'), withModel('after', ', keep_alive: 30s'))
    gateway.kill('SIGHUP')
    await until('another one is started', () => workersOf(gateway).length > workers.length)
    for (const pid of workersOf(gateway)) if (!workers.includes(pid)) process.kill(pid, 'SIGKILL')
    await gateway.said(/a worker was not replaced/, 'out')
    gateway.kill('SIGHUP')
    await gateway.said(/every worker was replaced/, 'out')

    await until('the old ones have ended', () => !workersOf(gateway).some(pid => workers.includes(pid)))
  })
})

test('what one worker is told to forget of the cache all forget', async () => {
  const usual = openAiScript()
  let answers = 0
  await using server = await startUpstream(request => {
    if (!request.path.endsWith('/chat/completions')) return typeof usual === 'function' ? usual(request) : usual
    return json(200, { ...chatCompletion('m'), id: `answer-${++answers}` })
  })
  const more = 'cache: { enabled: true }\nauth: { mode: none, admin_keys: [sk-of-the-admin] }'
  await using gateway = await startWorkers(server, more)
  const ask = async () => {
    const calls = Array.from({ length: EVERYBODY }, () => call(gateway.url, { model: 'held' }).over)
    return (await Promise.all(calls)).map(({ headers }) => headers['x-citadel-cache'])
  }
  await until('all have the answer', async () => (await ask()).every(status => status === 'hit'))
  const before = answers
  const cleared = await fetch(`${gateway.url}/management/cache/clear`, { method: 'POST', headers: ADMIN })
  await until('all have an answer again', async () => (await ask()).every(status => status === 'hit'))

  expect(cleared.status).toBe(200)
  // Each worker had forgotten it, and has asked again.
  expect([before, answers]).toEqual([2, 4])
})
