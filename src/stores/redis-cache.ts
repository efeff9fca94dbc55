import { type CachedAnswer, type CacheSelection, type CacheStore, isSelected } from '#core/cache.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { parseJson } from '#lib/json.ts'
import { createTurnEnd } from '#lib/turn.ts'
import { cacheClearRequest } from '#wire/cache.ts'
import { HEADER_BYTES_MAX, readAnswer, readHeader, writeAnswer } from './cached-answer.ts'
import type { Redis, RedisClient } from './redis.ts'

/** The Redis stream by which nodes tell each other what to clear from memory, and about how many entries it keeps. An
 * entry with a second field tells of a clearing that was swept a second time. */
const CLEARS = 'cache:clears'
const SWEPT = 'swept'
const CLEARS_MAX = 1000
/** How many entries a node remembers to have read: more than Redis keeps. */
const KNOWN_MAX = 2 * CLEARS_MAX
const POLL_MS = 5000
/** After which every node that answers has read a new entry of the stream, in milliseconds. */
const HEARD_MS = POLL_MS + 1000
/** The key by which one node takes the second sweep of a clearing, kept until all nodes have come to it. Its name is one
 * that the gateway's Redis user may write. */
const SWEEPER = '{citadel}:swept:'
const SWEEPER_MS = 60_000
/** The keys of answers, exactly: other programs may have keys that begin with `chat:` too. */
const HASH = '[0-9a-f]'.repeat(64)
const PATTERNS = [`chat:${HASH}`, `embed:${HASH}`] as const
const SCAN_COUNT = 1000

export interface RedisCacheOptions {
  readonly redis: Redis
  readonly clock: Clock
  /** Called when this node or another one was asked to clear answers. */
  readonly onClear: (selection: CacheSelection) => void
}

/** Creates a cache in Redis, shared by all nodes. While Redis does not answer, `get` finds nothing and `set` does nothing,
 * without waiting; `clear` fails with `dependency_unavailable`, because its caller has to know. */
export function createRedisCache(options: RedisCacheOptions): CacheStore & { close(): void } {
  const { redis, clock } = options
  const stop = watchClears(options, sweepLater)
  let clears = 0
  const later = new Set<() => void>()

  // All look-ups of one turn of the event loop go in one MGET: a command costs more than the values that it returns.
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
    // Do not store an answer if the cache was cleared while it was compressed.
    if (bytes !== null && clears === before)
      await redis.use(client => client.set(fingerprint, bytes, 'PX', leftMs)).catch(ignore)
  }

  /** Sweeps once more when all nodes have read of a clearing: until then they may store answers that should have been
   * cleared. Whichever node comes to it first does it, because the one that was asked to clear may be gone. */
  function sweepLater(id: string, selection: CacheSelection): void {
    const disarm = clock.after(HEARD_MS, () => {
      later.delete(disarm)
      void sweepAgain(id, selection).catch(ignore)
    })
    later.add(disarm)
  }

  async function sweepAgain(id: string, selection: CacheSelection): Promise<void> {
    const mine = await redis.use(client => client.set(SWEEPER + id, '1', 'PX', SWEEPER_MS, 'NX'))
    if (mine !== null) await sweep(selection, SWEPT, '1')
  }

  async function sweep(selection: CacheSelection, ...more: readonly string[]): Promise<number> {
    clears++
    try {
      let cleared = 0
      for (const node of await redis.use(async client => mastersOf(client))) {
        for (const pattern of PATTERNS) cleared += await clearNode(redis, node, { pattern, selection })
      }
      const told = JSON.stringify(selection)
      await redis.use(client => client.xadd(CLEARS, 'MAXLEN', '~', CLEARS_MAX, '*', 'selection', told, ...more))
      return cleared
    } catch (cause) {
      throw new GatewayError('dependency_unavailable', 'The shared cache does not answer.', { cause })
    }
  }

  return {
    get: fingerprint => (redis.available() ? new Promise(give => lookUp({ fingerprint, give })) : null),
    set: (fingerprint, answer) => (redis.available() ? set(fingerprint, answer) : undefined),
    clear: selection => sweep(selection),
    size: () => ({ entries: 0, bytes: 0 }),
    close() {
      stop()
      for (const disarm of later) disarm()
    },
  }
}

/** A look-up, and the callback for its result. */
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

/** The primaries of a cluster, or the only Redis: SCAN sees the keys of one node only. */
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
    // One key for each command: a cluster accepts several only if they share a slot.
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

/** An entry of a Redis stream: its id, and its names and values. */
type Entry = readonly [id: string, fields: readonly string[]]

/** Polls the stream for what to clear. A subscription was rejected: it misses messages while the connection is lost.
 *
 * @param onNew Called with each clearing that began while this node was here, and was not swept a second time yet. */
function watchClears(
  { redis, clock, onClear }: RedisCacheOptions,
  onNew: (id: string, selection: CacheSelection) => void,
): () => void {
  // Begins with the oldest entry: clearing an empty cache costs nothing, and ids for "now" need the clock of Redis.
  let last = '0'
  /** The ids of the entries that were read last. */
  let known: ReadonlySet<string> = new Set()
  let isFirst = true
  let stop = () => {}
  let stopped = false

  const since = (id: string) => redis.use(client => client.xrange(CLEARS, id, '+'))

  /** Reads what is new. The last entry that was read is there still, unless Redis has lost it: the stream is then read
   * from its beginning, since a clock that is behind gives new entries lower ids. Those that were known are not new: each
   * would be swept once more, and take what was stored since. */
  async function read(): Promise<readonly Entry[]> {
    let entries = await since(last)
    if (last !== '0' && entries[0]?.[0] !== last) entries = await since('0')
    const news = entries.filter(([id]) => !known.has(id))
    last = entries.at(-1)?.[0] ?? '0'
    known = new Set([...known, ...news.map(([id]) => id)].slice(-KNOWN_MAX))
    return news
  }

  async function poll(): Promise<void> {
    const entries = await read().catch(() => null)
    if (stopped) return
    for (const [id, [, told = '', swept]] of entries ?? []) {
      // An entry that is not valid was not written by a gateway: skip it.
      const selection = cacheClearRequest.safeParse(parseJson(told) ?? null)
      if (!selection.success) continue
      onClear(selection.data)
      if (!isFirst && swept === undefined) onNew(id, selection.data)
    }
    isFirst &&= entries === null
    stop = clock.after(POLL_MS, () => void poll())
  }

  // At once, so that what is asked in the first seconds is known to be new.
  void poll()
  return () => {
    stopped = true
    stop()
  }
}

function ignore(): void {}
