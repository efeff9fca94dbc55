import { existsSync } from 'node:fs'
import type { RedisClient } from '#stores/redis.ts'
import { freePort, freePorts, ownFolder, runProgram, type ServerProcess, serverProcess } from './server-process.ts'

/** A real Redis with no data in it, on loopback; it forgets all when it is started again. */
export interface Redis extends ServerProcess {
  readonly port: number
  readonly url: string
  /** Runs one command beside the client under test.
   *
   * @throws Error when Redis refuses it. */
  command(...words: readonly string[]): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}

/** A Redis Cluster of three nodes, which share the slots. */
export interface RedisCluster extends RedisPlace {
  readonly nodes: readonly Redis[]
}

const NODES = 3
const LOOK_EVERY_MS = 20
const JOINED_MS = 20_000

/** Starts Debian's Redis in a folder of its own.
 *
 * @param options More options of its command line, such as `--maxmemory 1mb`.
 * @throws Error With the command that installs it when it is missing. */
export async function startRedis(options: readonly string[] = []): Promise<Redis> {
  const port = await freePort()
  const redis = await prepareRedis(port, options)
  await redis.start()
  return redis
}

/** Starts three nodes and joins them; resolves when each one serves the whole cluster.
 *
 * @param options More options of the command line of each, which has a port to spare. */
export async function startRedisCluster(options = (_spare: number): readonly string[] => []): Promise<RedisCluster> {
  const ports = await freePorts(3 * NODES)
  const nodes = await Promise.all(
    ports.slice(0, NODES).map((port, index) => {
      const [bus, spare = 0] = [ports[NODES + index], ports[2 * NODES + index]]
      return prepareRedis(port, ['--cluster-enabled', 'yes', '--cluster-port', `${bus}`, ...options(spare)])
    }),
  )
  await Promise.all(nodes.map(node => node.start()))
  // Each third of the slots, and each node told of the first; `redis-cli --cluster create` would wait in whole seconds.
  const [first] = nodes
  for (const [index, node] of nodes.entries()) {
    const [from, to] = [Math.floor((16_384 * index) / NODES), Math.floor((16_384 * (index + 1)) / NODES) - 1]
    await node.command('CLUSTER', 'ADDSLOTSRANGE', `${from}`, `${to}`)
    await node.command('CLUSTER', 'SET-CONFIG-EPOCH', `${index + 1}`)
    if (first !== undefined && node !== first)
      await node.command('CLUSTER', 'MEET', '127.0.0.1', `${first.port}`, `${ports[NODES]}`)
  }
  const deadline = performance.now() + JOINED_MS
  while (!(await allJoined(nodes))) {
    if (performance.now() > deadline) throw new Error(`the cluster did not join in ${JOINED_MS} ms`)
    await Bun.sleep(LOOK_EVERY_MS)
  }
  return {
    nodes,
    urls: nodes.map(({ url }) => url),
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map(node => node[Symbol.asyncDispose]()))
    },
  }
}

/** The forms in which the gateway may have Redis. */
export const REDIS_FORMS = ['Redis', 'a Redis Cluster'] as const

/** A Redis of either form. */
export interface RedisPlace {
  readonly urls: readonly string[]
  [Symbol.asyncDispose](): Promise<void>
}

/** Starts a Redis of this form. */
export async function startRedisAs(form: (typeof REDIS_FORMS)[number]): Promise<RedisPlace> {
  if (form === 'a Redis Cluster') return startRedisCluster()
  const server = await startRedis()
  return { urls: [server.url], [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

/** Empties every node that a client talks to. */
export async function forgetAll(client: RedisClient): Promise<void> {
  for (const node of 'nodes' in client ? client.nodes('master') : [client]) await node.flushall()
}

async function prepareRedis(port: number, options: readonly string[]): Promise<Redis> {
  const program = redisProgram()
  const folder = await ownFolder('citadel-redis-')
  const cli = (words: readonly string[]) =>
    runProgram(['redis-cli', '-e', '-h', '127.0.0.1', '-p', `${port}`, '--no-raw', ...words])
  const server = serverProcess({
    command: [
      ...[program, '--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder.path],
      ...['--save', '', '--appendonly', 'no', '--enable-debug-command', 'yes', ...options],
    ],
    stopSignal: 'SIGTERM',
    ready: () =>
      cli(['PING']).then(
        answer => answer.includes('PONG'),
        () => false,
      ),
  })
  return {
    ...server,
    port,
    url: `redis://127.0.0.1:${port}`,
    command: async (...words) => (await cli(words)).trim(),
    async [Symbol.asyncDispose]() {
      await server.kill()
      await folder.remove()
    },
  }
}

async function allJoined(nodes: readonly Redis[]): Promise<boolean> {
  const states = await Promise.all(nodes.map(node => node.command('CLUSTER', 'INFO')))
  return states.every(state => state.includes('cluster_state:ok') && state.includes(`cluster_known_nodes:${NODES}`))
}

function redisProgram(): string {
  const path = '/usr/bin/redis-server'
  if (existsSync(path)) return path
  throw new Error(`No Redis at ${path}. Install the package redis-server (sudo apt-get install redis-server).`)
}
