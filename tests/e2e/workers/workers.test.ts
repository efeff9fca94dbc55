import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { startRedis } from '#tests/support/redis.ts'
import { freePort, isRefused } from '#tests/support/server-process.ts'
import { gate } from '#tests/support/upstream.ts'
import { run } from '../child.ts'
import { call, heldServer, isWhole, metricsOf, openStreams, startWorkers, until, workersOf } from './crew.ts'

setDefaultTimeout(60_000)

const detailsOf = async (url: string) =>
  (await (await fetch(`${url}/health/detailed`, { keepalive: false })).json()) as { readonly workers: number }

describe('several workers on one port', () => {
  test('are started as one: one greeting, when all serve, and everybody knows how many they are', async () => {
    await using server = await heldServer()
    await using gateway = await startWorkers(server, '', 3)

    expect(workersOf(gateway)).toHaveLength(3)
    expect(gateway.err().match(/listens on/g)).toHaveLength(1)
    expect(gateway.err()).toContain('3 processes share the port')
    expect((await detailsOf(gateway.url)).workers).toBe(3)
    expect((await metricsOf(gateway.url)).get('workers_active')).toBe(3)
  })

  test('cannot start where the port is taken, and say so', async () => {
    await using server = await heldServer()
    await using gateway = await startWorkers(server)
    const port = new URL(gateway.url).port
    const files = { 'gateway.yaml': 'gateway: { discover: false, demo: true }\nservice: { workers: 2 }\n' }
    await using second = await run(['start', '--config', 'gateway.yaml', '--port', port], { files })

    expect(await second.exited).toBe(69)
    expect(second.err()).toContain(`port ${port} is already in use`)
  })

  test('leave the port of the metrics to the gateway that has it, and say so', async () => {
    const port = await freePort()
    const files = {
      'gateway.yaml': `gateway: { discover: false, demo: true }\nservice: { workers: 2 }\nmonitoring: { prometheus_port: ${port} }\n`,
    }
    const args = ['start', '--config', 'gateway.yaml', '--port', '0']
    await using first = await run(args, { files })
    await first.said(/try /)
    await using second = await run(args, { files })
    await second.said(/try /)

    expect((await fetch(`http://127.0.0.1:${port}/metrics`)).status).toBe(200)
    expect(first.out()).not.toContain('prometheus_port')
    expect(second.out()).toContain(`monitoring.prometheus_port: port ${port} is in use`)
  })

  test('are as many as there are processors when that is asked for', async () => {
    const files = { 'gateway.yaml': 'gateway: { discover: false, demo: true }\nservice: { workers: auto }\n' }
    await using gateway = await run(['start', '--config', 'gateway.yaml', '--port', '0'], { files })
    await gateway.said(/try /)

    const { availableParallelism } = await import('node:os')
    const expected = availableParallelism()
    expect(workersOf(gateway)).toHaveLength(expected === 1 ? 0 : expected)
  })
})

describe('what workers limit together', () => {
  test('a limit of ten admits ten of a hundred calls at the same time', async () => {
    const open = gate()
    open.open()
    await using server = await heldServer(open)
    const limit = 'limits: { global: { requests_per_minute: 10 }, per_client: { requests_per_minute: 0 } }'
    await using gateway = await startWorkers(server, limit)

    const answers = await Promise.all(Array.from({ length: 100 }, () => call(gateway.url).over))

    expect(answers.filter(({ status }) => status === 200)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(90)
  })

  test('what a killed worker held is free again, and no more than that', async () => {
    const hold = gate()
    await using server = await heldServer(hold)
    await using gateway = await startWorkers(server, 'limits: { global: { concurrent_requests: 16 } }')
    const streams = await openStreams(gateway.url, 16)
    const before = await call(gateway.url).over
    const ended = new Set<number>()
    for (const [index, { over }] of streams.entries()) void over.then(() => ended.add(index))

    process.kill(workersOf(gateway)[0] ?? 0, 'SIGKILL')
    await gateway.said(/another one is started/, 'out')
    await until('its streams have ended', () => ended.size > 0)
    await until('two workers serve', () => workersOf(gateway).length === 2)
    const lost = ended.size
    const calls = Array.from({ length: 16 }, () => call(gateway.url))
    const refused: number[] = []
    for (const { over } of calls) void over.then(({ status }) => refused.push(status))
    await until('the calls that do not fit are refused', () => refused.length >= 16 - lost)
    hold.open()
    const answers = await Promise.all(calls.map(({ over }) => over))

    expect(before.status).toBe(429)
    expect(lost).toBeLessThan(16)
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(lost)
  })

  test('what a killed worker held in Redis at a server is free at once, too', async () => {
    await using redis = await startRedis()
    await using server = await heldServer()
    await using gateway = await startWorkers(
      server,
      `  sixteen: { endpoint: "${server.url}", max_concurrent: 16 }
redis: { url: "${redis.url}", timeout: 5s }
timeouts: { queue: 5s }`,
    )
    const asked = () => server.requests.filter(({ path }) => path.endsWith('/chat/completions')).length
    const ask = () => call(gateway.url, { model: 'sixteen', stream: true })
    const streams = Array.from({ length: 16 }, ask)
    await Promise.all(streams.map(({ begun }) => begun))
    const ended = new Set<number>()
    for (const [index, { over }] of streams.entries()) void over.then(() => ended.add(index))

    process.kill(workersOf(gateway)[0] ?? 0, 'SIGKILL')
    await until('its streams have ended', () => ended.size > 0)
    await until('two workers serve', () => gateway.out().match(/a worker serves/g)?.length === 3)
    const lost = ended.size
    const refused: number[] = []
    const calls = Array.from({ length: lost }, ask)
    for (const { over } of calls) void over.then(({ status }) => refused.push(status))
    await until('they have come to the server', () => asked() === 16 + lost || refused.length > 0)

    expect(lost).toBeLessThan(16)
    expect(refused).toEqual([])
    for (const { leave } of [...streams, ...calls]) leave()
  })

  test('a server that takes three calls at once gets three, and the others wait for their turn', async () => {
    const hold = gate()
    await using server = await heldServer(hold)
    await using gateway = await startWorkers(server, `  three: { endpoint: "${server.url}", max_concurrent: 3 }`)
    const calls = Array.from({ length: 12 }, () => call(gateway.url, { model: 'three', stream: true }))
    await until('all have come', async () => {
      const numbers = await metricsOf(gateway.url)
      return (numbers.get('gateway_queue_depth') ?? 0) === 9
    })
    const askedNow = () => server.requests.filter(({ path }) => path.endsWith('/chat/completions')).length
    await until('those that have a place have reached the server', () => askedNow() >= 3)
    const asked = askedNow()
    hold.open()
    const answers = await Promise.all(calls.map(({ over }) => over))

    expect(asked).toBe(3)
    expect(answers.filter(isWhole)).toHaveLength(12)
  })
})

describe('a worker that is killed', () => {
  test('loses only its own streams, and is back', async () => {
    const hold = gate()
    await using server = await heldServer(hold)
    await using gateway = await startWorkers(server)
    const streams = await openStreams(gateway.url, 20)
    const [victim = 0, survivor = 0] = workersOf(gateway)
    const broken = new Set<number>()
    for (const [index, { over }] of streams.entries()) void over.then(() => broken.add(index))

    process.kill(victim, 'SIGKILL')
    await until('its streams have ended', () => broken.size > 0)
    await until('another one serves', () => workersOf(gateway).length === 2 && !workersOf(gateway).includes(victim))
    const lost = broken.size
    hold.open()
    const answers = await Promise.all(streams.map(({ over }) => over))

    expect(workersOf(gateway)).toContain(survivor)
    expect(lost).toBeLessThan(20)
    expect(answers.filter(isWhole)).toHaveLength(20 - lost)
  })

  test('takes nothing back of what was counted', async () => {
    const open = gate()
    open.open()
    await using server = await heldServer(open)
    await using gateway = await startWorkers(server)
    const key = 'http_requests_total{method="POST",route="/v1/chat/completions",status="200"}'
    const counts: number[] = []
    // A connection may be one to the worker that is just killed.
    const look = () =>
      metricsOf(gateway.url).then(
        numbers => counts.push(numbers.get(key) ?? 0),
        () => {},
      )
    for (let round = 0; round < 4; round++) {
      await Promise.all(Array.from({ length: 5 }, () => call(gateway.url).over))
      await until('all of them are told', async () => {
        await look()
        return (counts.at(-1) ?? 0) >= 5 * (round + 1)
      })
      const [first = 0] = workersOf(gateway)
      // Twice it is killed, twice it leaves in good order.
      process.kill(first, round % 2 === 0 ? 'SIGKILL' : 'SIGTERM')
      await until('it has ended', async () => {
        await look()
        return !workersOf(gateway).includes(first)
      })
      await until('another one serves', async () => {
        await look()
        return (gateway.out().match(/a worker serves/g) ?? []).length === 3 + round
      })
    }

    expect(counts).toEqual(counts.toSorted((a, b) => a - b))
    expect(counts.at(-1)).toBe(20)
  })
})

describe('replacing all workers', () => {
  test('breaks no stream and fails no request on connections that are kept', async () => {
    const hold = gate()
    const open = gate()
    open.open()
    await using server = await heldServer(hold)
    await using quick = await heldServer(open)
    await using gateway = await startWorkers(server, `  quick: { endpoint: "${quick.url}" }`)
    const streams = await openStreams(gateway.url, 20)
    const seen = { ok: 0, failed: 0, done: false }
    const clients = Array.from({ length: 8 }, async () => {
      while (!seen.done) {
        const answer = await fetch(`${gateway.url}/v1/chat/completions`, {
          method: 'POST',
          body: JSON.stringify({ model: 'quick', stream: true, messages: [{ role: 'user', content: 'Hi' }] }),
        }).then(
          response => response.text(),
          () => '',
        )
        if (answer.endsWith('data: [DONE]\n\n')) seen.ok++
        else seen.failed++
      }
    })
    const gone = new Set<number>(workersOf(gateway))
    for (let round = 1; round <= 2; round++) {
      process.kill(gateway.pid, 'SIGUSR2')
      await until('all were replaced', () => (gateway.out().match(/every worker was replaced/g) ?? []).length === round)
      for (const pid of workersOf(gateway)) gone.add(pid)
    }
    seen.done = true
    await Promise.all(clients)
    hold.open()
    const answers = await Promise.all(streams.map(({ over }) => over))
    await until('the old ones have ended', () => workersOf(gateway).length === 2)

    expect(seen.failed).toBe(0)
    expect(seen.ok).toBeGreaterThan(0)
    expect(answers.filter(isWhole)).toHaveLength(20)
    expect(gone.size).toBeGreaterThanOrEqual(4)
  })

  test('happens by itself to one that has answered as many requests as it should', async () => {
    const open = gate()
    open.open()
    await using server = await heldServer(open)
    await using gateway = await startWorkers(server, '', 2, ', worker_max_requests: 5')
    const before = workersOf(gateway)
    const answers = await Promise.all(Array.from({ length: 20 }, () => call(gateway.url).over))
    await until(
      'they were replaced',
      () => workersOf(gateway).length === 2 && !workersOf(gateway).some(pid => before.includes(pid)),
    )

    expect(answers.filter(isWhole)).toHaveLength(20)
  })
})

describe('the end', () => {
  test('lets every stream of every worker finish, and is a success', async () => {
    const hold = gate()
    await using server = await heldServer(hold)
    await using gateway = await startWorkers(server)
    const workers = workersOf(gateway)
    const streams = await openStreams(gateway.url, 10)
    gateway.kill('SIGTERM')
    await until('nobody listens', () => isRefused(gateway.url))
    hold.open()
    const answers = await Promise.all(streams.map(({ over }) => over))

    expect(answers.filter(isWhole)).toHaveLength(10)
    expect(await gateway.exited).toBe(0)
    expect(workers.filter(isAlive)).toEqual([])
    for (const what of ['started', 'stopping', 'stopped'])
      expect(gateway.out().match(new RegExp(`"message":"${what}[";]`, 'g'))).toHaveLength(1)
  })

  test('a second signal waits for nobody', async () => {
    await using server = await heldServer()
    await using gateway = await startWorkers(server)
    const streams = await openStreams(gateway.url, 6)
    gateway.kill('SIGTERM')
    await until('nobody listens', () => isRefused(gateway.url))
    gateway.kill('SIGTERM')
    const answers = await Promise.all(streams.map(({ over }) => over))

    expect(await gateway.exited).toBe(0)
    for (const { text } of answers) expect(text).toContain('server_shutting_down')
  })

  test('of a supervisor that is killed is noticed by its workers, which finish and end', async () => {
    const hold = gate()
    await using server = await heldServer(hold)
    await using gateway = await startWorkers(server)
    const workers = workersOf(gateway)
    const streams = await openStreams(gateway.url, 6)
    gateway.kill('SIGKILL')
    await until('nobody listens', () => isRefused(gateway.url))
    const during = workers.filter(isAlive).length
    hold.open()
    const answers = await Promise.all(streams.map(({ over }) => over))
    await until('no worker is left', () => !workers.some(isAlive))

    expect(during).toBe(2)
    expect(answers.filter(isWhole)).toHaveLength(6)
  })
})

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
