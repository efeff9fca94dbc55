import { describe, expect, test } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import { openRedis, type Redis, RedisAway, type RedisClient } from '#stores/redis.ts'
import { makeCertificates } from '#tests/support/certificates.ts'
import { type FakeClock, fakeClock, settled } from '#tests/support/clock.ts'
import { fastest } from '#tests/support/fastest.ts'
import { outcomeOf } from '#tests/support/output.ts'
import { startRedis, startRedisCluster } from '#tests/support/redis.ts'
import { freePort, freePorts } from '#tests/support/server-process.ts'
import { startTcpProxy } from '#tests/support/tcp-proxy.ts'

const PROCESS = new URL('./redis-process.ts', import.meta.url).pathname
const ADD = "return redis.call('ZADD', KEYS[1], 1, 'one')"
const TIMEOUT_MS = 300
const SOON_MS = TIMEOUT_MS + 100
const AT_ONCE_MS = 20
const clock = systemClock()
const open = (...urls: string[]) => openRedis({ urls, timeoutMs: TIMEOUT_MS, clock })
const ask = (redis: Redis) => redis.use(client => client.set('{citadel}:test', '1', 'PX', 60_000))

/** @returns After how long a call fails for want of a connection, in milliseconds. */
async function awayAfterMs(redis: Redis): Promise<number> {
  const since = performance.now()
  await expect(ask(redis)).rejects.toBeInstanceOf(RedisAway)
  return performance.now() - since
}

/** Lets time pass, and whatever follows from it. */
async function pass(time: FakeClock, ms: number): Promise<void> {
  time.advance(ms)
  await settled()
}

async function until(holds: () => boolean, ms = 10_000): Promise<void> {
  const deadline = performance.now() + ms
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not so within ${ms} ms`)
    await Bun.sleep(10)
  }
}

describe('a connection to Redis', () => {
  test('is usable from the first call on, although it is opened in the background', async () => {
    await using server = await startRedis()
    const redis = open(server.url)

    expect(await ask(redis)).toBe('OK')
    expect(redis.connections()).toBe(1)
    redis.close()
  }, 30_000)

  test('reaches each node of a cluster', async () => {
    await using cluster = await startRedisCluster()
    const redis = open(...cluster.urls)
    const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`)

    await Promise.all(keys.map(key => redis.use(client => client.set(key, key))))
    const values = await Promise.all(keys.map(key => redis.use(client => client.get(key))))

    expect(values).toEqual(keys)
    expect(redis.connections()).toBeGreaterThanOrEqual(3)
    redis.close()
  }, 60_000)

  test('uses the password for the nodes that a cluster names, too', async () => {
    await using cluster = await startRedisCluster()
    for (const { command } of cluster.nodes) await command('CONFIG', 'SET', 'requirepass', 'p@ss:w/rd %')
    const [first = ''] = cluster.urls.map(url => url.replace('//', `//:${encodeURIComponent('p@ss:w/rd %')}@`))
    const redis = open(first, first)
    const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`)

    const set = await Promise.all(keys.map(key => redis.use(client => client.set(key, key))))

    expect(set).toEqual(keys.map(() => 'OK'))
    redis.close()
  }, 60_000)

  test('reaches the nodes of a cluster by the names in their certificates', async () => {
    await using certificates = await makeCertificates()
    const { cert, key } = await certificates.issue('redis', 1, 'DNS:localhost')
    const ports: number[] = []
    await using _cluster = await startRedisCluster(spare => {
      ports.push(spare)
      return [
        ...['--tls-port', `${spare}`, '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file'],
        ...[certificates.ca, '--tls-auth-clients', 'no', '--tls-cluster', 'yes', '--cluster-announce-hostname'],
        ...['localhost', '--cluster-preferred-endpoint-type', 'hostname'],
      ]
    })
    const child = Bun.spawn([process.execPath, PROCESS, ...ports.map(port => `rediss://localhost:${port}`)], {
      env: { ...process.env, NODE_EXTRA_CA_CERTS: certificates.ca },
      stdin: 'ignore',
      stderr: 'pipe',
    })

    expect((await outcomeOf(child)).output.trim()).toBe('50')
  }, 60_000)

  test('to a cluster that lost a node makes nobody wait for that node', async () => {
    await using cluster = await startRedisCluster()
    const redis = open(...cluster.urls)
    // Of the third node; the limits, and the trial, are at the second one.
    const read = () => redis.use(client => client.get('a'))
    await read()
    await cluster.nodes[2]?.kill()

    const failsAfterMs = async () => {
      await until(redis.available)
      const since = performance.now()
      await expect(read()).rejects.toBeInstanceOf(RedisAway)
      return performance.now() - since
    }

    expect(await fastest(TIMEOUT_MS / 3, failsAfterMs)).toBeLessThan(TIMEOUT_MS / 3)
    redis.close()
  }, 60_000)

  test('to a cluster with a silent node is not used until every node answers', async () => {
    await using cluster = await startRedisCluster()
    const [, limits, silent] = cluster.nodes
    const changes: boolean[] = []
    const redis = openRedis({
      ...{ urls: cluster.urls, timeoutMs: TIMEOUT_MS, clock },
      onChange: ({ available }) => changes.push(available),
    })
    const read = () => redis.use(client => client.get('a'))
    const trials = async () =>
      Number(/cmdstat_eval:calls=(\d+)/.exec((await limits?.command('INFO', 'commandstats')) ?? '')?.[1] ?? 0)
    await read()

    silent?.pause()
    await expect(read()).rejects.toBeInstanceOf(RedisAway)
    for (const end = performance.now() + 10_000; (await trials()) < 2; ) {
      if (performance.now() > end) throw new Error('it was not tried again')
    }
    const during = [...changes]
    silent?.resume()
    await until(redis.available)

    expect(during).toEqual([false])
    expect(await read()).toBe(null)
    redis.close()
  }, 60_000)

  test('to a cluster that has not all of its slots at first is used once it has', async () => {
    await using cluster = await startRedisCluster()
    for (const node of cluster.nodes) {
      // The others hear from its node that it still has the slot, until that has lost it as well.
      while (!(await node.command('CLUSTER', 'INFO')).includes('cluster_state:fail')) {
        await node.command('CLUSTER', 'DELSLOTS', '0').catch(() => {})
      }
    }
    const redis = open(...cluster.urls)
    await awayAfterMs(redis)

    await cluster.nodes[0]?.command('CLUSTER', 'ADDSLOTS', '0')
    await until(redis.available, 30_000)

    expect(await ask(redis)).toBe('OK')
    redis.close()
  }, 60_000)

  test('follows a slot that is being moved', async () => {
    await using cluster = await startRedisCluster()
    const redis = open(...cluster.urls)
    const write = () => redis.use(client => client.eval("return redis.call('SET', KEYS[1], 1)", 1, 'a'))
    const [, to, from] = cluster.nodes
    const idOf = async (node: typeof to) => JSON.parse((await node?.command('CLUSTER', 'MYID')) ?? '')
    const slot = (await from?.command('CLUSTER', 'KEYSLOT', 'a'))?.replace(/\D/g, '') ?? ''
    await redis.use(client => client.ping())

    await to?.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOf(from))
    await from?.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', await idOf(to))

    const written = await Promise.allSettled(Array.from({ length: 50 }, write))

    expect(written.filter(({ status }) => status === 'fulfilled')).toHaveLength(50)
    expect(await to?.command('CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('(integer) 1')
    redis.close()
  }, 60_000)

  test('fails when Redis does not have the configured database', async () => {
    await using server = await startRedis()
    const reasons: string[] = []
    const redis = openRedis({
      ...{ urls: [`${server.url}/99`], timeoutMs: TIMEOUT_MS, clock },
      onChange: ({ reason }) => reasons.push(reason),
    })

    await awayAfterMs(redis)

    expect(reasons).toEqual(['ERR DB index is out of range'])
    expect(await server.command('DBSIZE')).toBe('(integer) 0')
    redis.close()
  }, 30_000)

  test('to one node of a cluster says that the address belongs to a cluster', async () => {
    await using cluster = await startRedisCluster()
    const reasons: string[] = []
    const [url = ''] = cluster.urls
    const redis = openRedis({
      ...{ urls: [url], timeoutMs: TIMEOUT_MS, clock },
      onChange: ({ reason }) => reasons.push(reason),
    })

    const keys = Array.from({ length: 50 }, (_, index) => `key ${index}`)
    await Promise.allSettled(keys.map(key => redis.use(client => client.set(key, key))))

    expect(reasons[0]).toMatch(/^MOVED /)
    redis.close()
  }, 60_000)

  test('that fails says why', async () => {
    await using server = await startRedis()
    await server.command('CONFIG', 'SET', 'requirepass', 'of-somebody')
    const [nobody = 0, other = 0] = await freePorts(2)
    const nowhere = `redis://127.0.0.1:${nobody}`
    const tell = async (...urls: string[]) => {
      const { promise, resolve } = Promise.withResolvers<string>()
      const redis = openRedis({ urls, timeoutMs: 3000, clock, onChange: ({ reason }) => resolve(reason) })
      await ask(redis).catch(() => {})
      const reason = await promise
      redis.close()
      return reason
    }

    expect(await tell(nowhere)).toContain('ECONNREFUSED')
    expect(await tell(server.url.replace('//', '//:wrong@'))).toContain('WRONGPASS')
    expect(await tell(nowhere, `redis://127.0.0.1:${other}`)).toContain('None of startup nodes')
  }, 30_000)

  test('that is closed reports it', async () => {
    await using server = await startRedis()
    const reasons: string[] = []
    const redis = openRedis({
      ...{ urls: [server.url], timeoutMs: TIMEOUT_MS, clock },
      onChange: ({ reason }) => reasons.push(reason),
    })
    await ask(redis)

    const asking = redis.use(client => {
      client.disconnect(true)
      return client.set('{citadel}:test', '1')
    })
    await expect(asking).rejects.toBeInstanceOf(RedisAway)

    expect(reasons).toEqual(['the connection was closed'])
    redis.close()
  }, 30_000)

  test('that is lost reports once what keeps it from coming back', async () => {
    await using server = await startRedis()
    await server.command('CONFIG', 'SET', 'requirepass', 'old')
    const reasons: string[] = []
    const redis = openRedis({
      ...{ urls: [server.url.replace('//', '//:old@')], timeoutMs: TIMEOUT_MS, clock },
      onChange: ({ reason }) => reasons.push(reason),
    })
    await ask(redis)

    await redis.use(client => client.config('SET', 'requirepass', 'new'))
    await server.command('-a', 'new', 'CLIENT', 'KILL', 'TYPE', 'normal')
    await awayAfterMs(redis)
    await until(() => reasons.length > 1)
    const refused = async () => {
      const stats = await server.command('-a', 'new', 'INFO', 'errorstats')
      return Number(/errorstat_WRONGPASS:count=(\d+)/.exec(stats)?.[1])
    }
    const [before, deadline] = [await refused(), performance.now() + 10_000]
    while ((await refused()) < before + 2 && performance.now() < deadline);

    expect(reasons.slice(1)).toEqual([expect.stringContaining('WRONGPASS')])
    redis.close()
  }, 30_000)

  test('that fails makes the first call fail soon and later ones at once, until it succeeds', async () => {
    const port = await freePort()
    const failsAfterMs = async () => {
      const redis = open(`redis://127.0.0.1:${port}`)
      const first = await awayAfterMs(redis)
      expect(await fastest(AT_ONCE_MS, () => awayAfterMs(redis))).toBeLessThan(AT_ONCE_MS)
      expect(redis.connections()).toBe(0)
      redis.close()
      return first
    }

    expect(await fastest(SOON_MS, failsAfterMs)).toBeLessThan(SOON_MS)
  }, 30_000)

  test('that becomes silent costs one wait, and is used again once it answers', async () => {
    await using server = await startRedis()
    const time = fakeClock()
    const redis = openRedis({ urls: [server.url], timeoutMs: TIMEOUT_MS, clock: time })
    await ask(redis)
    let isOver = false

    server.pause()
    const waiting = ask(redis).catch((thrown: unknown) => {
      isOver = true
      return thrown
    })
    for (const ms of [TIMEOUT_MS / 2, TIMEOUT_MS / 2 - 1]) await pass(time, ms)
    const early = isOver
    await pass(time, 1)
    const failure = await waiting
    // No time passes any more.
    await awayAfterMs(redis)
    server.resume()
    await until(() => {
      time.advance(TIMEOUT_MS / 10)
      return redis.available()
    })

    expect(early).toBe(false)
    expect(failure).toBeInstanceOf(RedisAway)
    expect(await ask(redis)).toBe('OK')
    redis.close()
  }, 30_000)

  test('does not count as silent while this process is blocked', async () => {
    await using server = await startRedis()
    const redis = open(server.url)
    await ask(redis)

    const answering = redis.use(client => client.eval("return 'here'", 0))
    Bun.sleepSync(2 * TIMEOUT_MS)

    expect(await answering).toBe('here')
    expect(redis.available()).toBe(true)
    redis.close()
  }, 30_000)

  test('does not count as silent for the time before a call', async () => {
    await using server = await startRedis()
    const redis = open(server.url)
    await ask(redis)
    // Somebody else waits for something, so that the clock's timers are counted from its last tick.
    const disarm = clock.after(60_000, () => {})
    const after: boolean[] = []
    for (let round = 0; round < 4; round++) {
      await Bun.sleep(50)
      Bun.sleepSync(TIMEOUT_MS)
      await redis.use(client => client.ping())
      after.push(redis.available())
    }

    expect(after).toEqual([true, true, true, true])
    disarm()
    redis.close()
  }, 30_000)

  test('that is lost is opened again when Redis is back', async () => {
    await using server = await startRedis()
    const redis = open(server.url)
    const backs: unknown[] = []
    redis.onBack(() => backs.push(ask(redis)))
    await ask(redis)

    await server.kill()
    await awayAfterMs(redis)
    await server.start()
    await until(redis.available)

    expect(await ask(redis)).toBe('OK')
    expect(await Promise.all(backs)).toEqual(['OK'])
    redis.close()
  }, 30_000)

  test.each([
    ['has too few replicas', ['CONFIG', 'SET', 'min-replicas-to-write', '1']],
    ['is a replica that has lost its primary', ['REPLICAOF', '127.0.0.1', '1']],
  ])(
    'that %s is left for the one to which its address leads by then',
    async (_, breakIt) => {
      await using old = await startRedis(['--replica-serve-stale-data', 'no'])
      await using promoted = await startRedis()
      await using way = await startTcpProxy(old.port)
      const redis = open(`redis://127.0.0.1:${way.port}`)
      const write = () => redis.use(client => client.eval("return redis.call('SET', KEYS[1], 1)", 1, 'key'))
      await write()

      // All that was open stays, as after a failover by a name or an address that moves.
      way.turnTo(promoted.port)
      await old.command(...breakIt)
      await expect(write()).rejects.toBeInstanceOf(RedisAway)
      await until(redis.available)
      await write()

      expect(await promoted.command('EXISTS', 'key')).toBe('(integer) 1')
      redis.close()
    },
    20_000,
  )

  test.each([
    ['is full', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['only reads', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ])(
    'that %s is left alone until it works again',
    async (_, breakIt, mendIt) => {
      await using server = await startRedis()
      const redis = open(server.url)
      await ask(redis)

      await server.command(...breakIt)
      await awayAfterMs(redis)
      const after = redis.available()
      await server.command(...mendIt)
      await until(redis.available)

      expect(after).toBe(false)
      expect(await ask(redis)).toBe('OK')
      redis.close()
    },
    30_000,
  )

  test.each([
    ['does not let its user do what a script does', [], ['+eval']],
    ['runs no scripts', ['--rename-command', 'EVAL', ''], ['+@all']],
  ])(
    'that %s is left alone',
    async (_, options, rights) => {
      await using server = await startRedis(options)
      await server.command('ACL', 'SETUSER', 'u', 'on', '>p', '~*', '+info', ...rights)
      const redis = open(server.url.replace('//', '//u:p@'))

      const writing = redis.use(client => client.eval("return redis.call('SET', KEYS[1], 1)", 1, 'key'))

      await expect(writing).rejects.toBeInstanceOf(RedisAway)
      expect(redis.available()).toBe(false)
      redis.close()
    },
    30_000,
  )

  test.each([
    ['that is needed', (client: RedisClient) => client.zadd('{citadel}:scores', 1, 'one')],
    ['that a script needs', (client: RedisClient) => client.eval(ADD, 1, '{citadel}:scores')],
  ])(
    'whose user has not a right %s is tried again after half a minute, and used once it has it',
    async (_, add) => {
      await using server = await startRedis()
      await server.command('ACL', 'SETUSER', 'u', 'on', '>p', '~*', '+@all', '-zadd')
      const time = fakeClock()
      const redis = openRedis({ urls: [server.url.replace('//', '//u:p@')], timeoutMs: TIMEOUT_MS, clock: time })
      const adding = () => redis.use<unknown>(add)
      await ask(redis)
      await expect(adding()).rejects.toBeInstanceOf(RedisAway)

      await server.command('CONFIG', 'RESETSTAT')
      for (let second = 1; second < 30; second++) await pass(time, 1000)
      const tried = await server.command('INFO', 'commandstats')
      const early = redis.available()
      await server.command('ACL', 'SETUSER', 'u', '+zadd')
      await pass(time, 1000)
      await until(redis.available)

      expect(tried).not.toContain('cmdstat_eval:')
      expect(early).toBe(false)
      expect(await adding()).toBe(1)
      redis.close()
    },
    30_000,
  )

  // Up to 6.2 a script's error begins with a story of its own, as in these two of a Redis 6.2.14.
  test.each([
    [
      'OOM',
      "ERR Error running script (call to f_efa259bf8669816f30613d4295dcabcac54cfa29): @user_script:1: @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'. ",
    ],
    [
      'a user without the right',
      "ERR Error running script (call to f_88c923858e73954cede057e8a25f614a3552b177): @user_script:1: @user_script: 1: The user executing the script can't run this command or subcommand",
    ],
  ])(
    'that tells of %s within a script is left alone',
    async (_, message) => {
      await using server = await startRedis()
      const redis = open(server.url)

      const failing = redis.use(client => client.eval('return redis.error_reply(ARGV[1])', 0, message))

      await expect(failing).rejects.toBeInstanceOf(RedisAway)
      redis.close()
    },
    30_000,
  )

  test.each([
    ['now', ''],
    [
      'in Redis 6.2',
      'ERR Error running script (call to f_efa259bf8669816f30613d4295dcabcac54cfa29): @user_script:1: @user_script: 1: -',
    ],
  ])(
    'whose name belongs to another primary goes there, by what a replica says %s',
    async (_, before) => {
      await using old = await startRedis()
      await using promoted = await startRedis()
      await using way = await startTcpProxy(old.port)
      const redis = open(`redis://127.0.0.1:${way.port}`)
      const write = () =>
        redis.use(client =>
          client.eval(
            "local said = redis.pcall('SET', KEYS[1], 1)\n" +
              "if type(said) == 'table' and said.err then return redis.error_reply(ARGV[1] .. said.err) end\n" +
              'return 1',
            ...[1, 'key', before],
          ),
        )
      await write()

      // All that was open stays, as after a failover by a name or an address that moves.
      way.turnTo(promoted.port)
      await old.command('REPLICAOF', '127.0.0.1', `${promoted.port}`)
      await expect(write()).rejects.toBeInstanceOf(RedisAway)
      await until(redis.available)
      await write()

      expect(await promoted.command('EXISTS', 'key')).toBe('(integer) 1')
      redis.close()
    },
    30_000,
  )

  test('an error of a command does not affect other commands', async () => {
    await using server = await startRedis()
    const redis = open(server.url)
    await redis.use(client => client.set('text', 'a'))

    const failing = redis.use(client => client.lpush('text', 'b'))

    await expect(failing).rejects.toThrow('WRONGTYPE')
    await expect(failing).rejects.not.toBeInstanceOf(RedisAway)
    expect(redis.available()).toBe(true)
    redis.close()
  }, 30_000)
})
