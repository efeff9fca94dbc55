import { type CachedAnswer, type CacheSelection, type CacheStore, isSelected } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { parseJson } from '#lib/json.ts'
import { createTurnEnd } from '#lib/turn.ts'
import { cacheClearRequest } from '#wire/cache.ts'
import { HEADER_BYTES_MAX, readAnswer, readHeader, writeAnswer } from './cached-answer.ts'
import type { Redis, RedisClient } from './redis.ts'

/** What nodes tell each other to forget: a stream of selections, of which the last ones are enough. */
const CLEARS = 'cache:clears'
const CLEARS_MAX = 1000
const POLL_MS = 5000
/** When every node has heard of a clearing, or is away. */
const HEARD_MS = POLL_MS + 1000
/** Only names that answers have: others may keep something of their own under `chat:`. */
const HASH = '[0-9a-f]'.repeat(64)
const PATTERNS = [`chat:${HASH}`, `embed:${HASH}`] as const
const SCAN_COUNT = 1000

export interface RedisCacheOptions {
  readonly redis: Redis
  readonly clock: Clock
  /** Told what another node, or this one, was asked to forget. */
  readonly onClear: (selection: CacheSelection) => void
}

/** Creates a cache in Redis, shared by all nodes. While Redis does not answer nothing is there, and nobody waits.
 *
 * `clear` fails with `dependency_unavailable` then, because whoever asks for it has to know. */
export function createRedisCache(options: RedisCacheOptions): CacheStore & { close(): void } {
  const { redis, clock } = options
  const stop = watchClears(options)
  let clears = 0
  const later = new Set<() => void>()

  // What is looked up in one turn of the event loop goes in one command: each costs more than all that it brings.
  const lookUp = createTurnEnd<Wanted>(wanted => void answerAll(wanted))

  async function answerAll(wanted: readonly Wanted[]): Promise<void> {
    const keys = wanted.map(({ fingerprint }) => fingerprint)
    const found = await redis.use(client => readAll(client, keys)).catch(() => null)
    for (const [at, { give }] of wanted.entries()) {
      const bytes = found?.[at] ?? null
      const answer = bytes === null ? null : readAnswer(bytes)
      give(answer instanceof Promise ? answer.then(inTime) : inTime(answer))
    }
  }

  function inTime(answer: CachedAnswer | null): CachedAnswer | null {
    return answer !== null && clock.time() < answer.storedAt + answer.ttlMs ? answer : null
  }

  async function set(fingerprint: string, answer: CachedAnswer): Promise<void> {
    const leftMs = Math.ceil(answer.storedAt + answer.ttlMs - clock.time())
    if (leftMs <= 0) return
    const before = clears
    const bytes = await writeAnswer(answer)
    // Compressing takes a while, in which all that is in Redis may have been cleared.
    if (bytes !== null && clears === before)
      await redis.use(client => client.set(fingerprint, bytes, 'PX', leftMs)).catch(ignore)
  }

  async function clear(selection: CacheSelection): Promise<number> {
    const cleared = await sweep(selection)
    // Until they have heard of it the others store what was under way, which is meant, too.
    const again = clock.after(HEARD_MS, () => {
      later.delete(again)
      void sweep(selection).catch(ignore)
    })
    later.add(again)
    return cleared
  }

  async function sweep(selection: CacheSelection): Promise<number> {
    clears++
    try {
      let cleared = 0
      for (const node of await redis.use(async client => mastersOf(client))) {
        for (const pattern of PATTERNS) cleared += await clearNode(redis, node, { pattern, selection })
      }
      const told = JSON.stringify(selection)
      await redis.use(client => client.xadd(CLEARS, 'MAXLEN', '~', CLEARS_MAX, '*', 'selection', told))
      return cleared
    } catch (cause) {
      throw new GatewayError('dependency_unavailable', 'The shared cache does not answer.', { cause })
    }
  }

  return {
    get: fingerprint => (redis.available() ? new Promise(give => lookUp({ fingerprint, give })) : null),
    set: (fingerprint, answer) => (redis.available() ? set(fingerprint, answer) : undefined),
    clear,
    size: () => ({ entries: 0, bytes: 0 }),
    close() {
      stop()
      for (const disarm of later) disarm()
    },
  }
}

/** A look-up, and who waits for what it finds. */
interface Wanted {
  readonly fingerprint: string
  readonly give: (answer: CachedAnswer | null | Promise<CachedAnswer | null>) => void
}

/** Reads several keys; a cluster takes them in one command only when they share a slot. */
function readAll(client: RedisClient, keys: readonly string[]): Promise<(Buffer | null)[]> {
  if ('nodes' in client) return Promise.all(keys.map(key => client.getBuffer(key)))
  return client.mgetBuffer(...keys)
}

type Node = Pick<RedisClient, 'scan' | 'getrangeBuffer' | 'unlink'>

/** The nodes that hold keys: each has to be looked through for itself. */
function mastersOf(client: RedisClient): readonly Node[] {
  return 'nodes' in client ? client.nodes('master') : [client]
}

async function clearNode(
  redis: Redis,
  node: Node,
  { pattern, selection }: { readonly pattern: string; readonly selection: CacheSelection },
): Promise<number> {
  const all = Object.values(selection).every(value => value === undefined)
  let cleared = 0
  let cursor = '0'
  do {
    const [next, keys] = await redis.use(() => node.scan(cursor, 'MATCH', pattern, 'COUNT', SCAN_COUNT))
    cursor = next
    const meant = all ? keys : await selected(redis, node, keys, selection)
    // Keys of one slot each: a cluster takes several in one command only when they share it.
    const gone = await redis.use(() => Promise.all(meant.map(key => node.unlink(key))))
    cleared += gone.reduce((sum, count) => sum + count, 0)
  } while (cursor !== '0')
  return cleared
}

async function selected(
  redis: Redis,
  node: Node,
  keys: readonly string[],
  selection: CacheSelection,
): Promise<readonly string[]> {
  const heads = await redis.use(() => Promise.all(keys.map(key => node.getrangeBuffer(key, 0, HEADER_BYTES_MAX))))
  return keys.filter((_, at) => {
    const header = readHeader(heads[at] ?? Buffer.alloc(0))
    return header !== null && isSelected(header, selection)
  })
}

/** Asks every few seconds what is to be forgotten: a subscription would miss what was said while it was broken. */
function watchClears({ redis, clock, onClear }: RedisCacheOptions): () => void {
  // What was said before this process began costs it next to nothing. Ids are times, but of the clock of Redis.
  let last = '0'
  let stop = clock.after(POLL_MS, () => void poll())
  let stopped = false

  async function poll(): Promise<void> {
    const entries = await redis.use(client => client.xrange(CLEARS, `(${last}`, '+')).catch(() => [])
    for (const [id, [, told = '']] of entries) {
      last = id
      // What cannot be understood is not ours.
      const selection = cacheClearRequest.safeParse(parseJson(told) ?? null)
      if (selection.success) onClear(selection.data)
    }
    if (!stopped) stop = clock.after(POLL_MS, () => void poll())
  }

  return () => {
    stopped = true
    stop()
  }
}

function ignore(): void {}
