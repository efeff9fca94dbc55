import type { Clock } from '#core/clock.ts'
import type { Claim, IdempotencyStore, KeyedRequest, StoredAnswer } from '#core/idempotency.ts'
import { sha256 } from '#lib/hash.ts'
import { readStored, writeStored } from './idempotent-answer.ts'
import type { Redis } from './redis.ts'
import { sentScript } from './redis-script.ts'

/** A claim is renewed for as long as its process lives, and free so long after it has died; in milliseconds. */
const CLAIM_MS = 30_000
const RENEW_MS = 10_000
/** How many claims that ended without Redis being told are remembered; further ones end by themselves. */
const ENDED_MAX = 1000

const claimScript = sentScript('claim')
const keepScript = sentScript('keep')
const freeScript = sentScript('free')

export interface RedisIdempotencyOptions {
  readonly redis: Pick<Redis, 'use' | 'available' | 'onBack'>
  readonly clock: Clock
  /** What this process knows by itself: it is asked first, and alone while Redis is away. */
  readonly near: IdempotencyStore
  readonly ttlMs: number
  readonly answerBytesMax: number
}

/** Creates a store in Redis, shared by all processes, behind the one of this process. */
export function createRedisIdempotency(options: RedisIdempotencyOptions): IdempotencyStore & { close(): void } {
  const { redis, clock, near, ttlMs, answerBytesMax } = options
  /** The claims of this process, and those of which Redis has not answered yet. */
  const held = new Map<string, KeyedRequest>()
  const asking = new Map<string, Promise<unknown>>()
  /** The claims of which Redis was told, or may have been. */
  const told = new WeakSet<KeyedRequest>()
  /** Those of them that ended while Redis could not be told: it takes them for running. */
  let ended: KeyedRequest[] = []
  let stopRenewal: (() => void) | null = null

  async function decide(request: KeyedRequest): Promise<Claim> {
    const { key, owner } = request
    const here = await near.claim(request)
    if (here.kind !== 'claimed') return here
    held.set(key, request)
    stopRenewal ??= clock.after(RENEW_MS, renew)
    if (!redis.available()) return here
    const there = await ask(request)
    if (there.kind === 'claimed') return there
    held.delete(key)
    near.release(key, owner)
    return there
  }

  function claimThere(request: KeyedRequest, before: boolean): Promise<unknown> {
    const { key, fingerprint, owner } = request
    if (redis.available()) told.add(request)
    const values = [fingerprint, owner, CLAIM_MS, Math.floor(clock.time()), before ? 1 : 0]
    return redis.use(client => claimScript(client, nameOf(key), values))
  }

  async function ask(request: KeyedRequest): Promise<Claim> {
    try {
      const kind = await claimThere(request, false)
      if (kind === 'running' || kind === 'mismatch') return { kind }
      const bytes =
        kind === 'stored' ? await redis.use(client => client.hgetBuffer(nameOf(request.key), 'answer')) : null
      const answer = bytes === null ? null : await readStored(bytes)
      return answer === null ? CLAIMED : { kind: 'stored', answer }
    } catch {
      return CLAIMED
    }
  }

  /** Lets go of a claim of this process.
   *
   * @returns `null` when it is not the owner's. */
  function letGo(key: string, owner: string): KeyedRequest | null {
    const request = held.get(key)
    if (request?.owner !== owner) return null
    held.delete(key)
    return request
  }

  async function store(request: KeyedRequest, answer: StoredAnswer): Promise<void> {
    const { key, fingerprint, owner } = request
    const until = Math.floor(clock.time()) + ttlMs
    const written = writeStored(answer)
    // Without a turn between, where there is none: who asks next is to find it.
    const bytes = written instanceof Promise ? await written : written
    const values = [fingerprint, owner, until, ttlMs, bytes]
    await redis.use(client => keepScript(client, nameOf(key), values)).catch(() => remember(request))
  }

  function free(request: KeyedRequest): void {
    const { key, owner } = request
    redis.use(client => freeScript(client, nameOf(key), [owner])).catch(() => remember(request))
  }

  function remember(request: KeyedRequest): void {
    if (told.has(request) && ended.length < ENDED_MAX) ended.push(request)
  }

  function renew(): void {
    stopRenewal = held.size === 0 ? null : clock.after(RENEW_MS, renew)
    claimAnew()
  }

  /** Claims again what is held: Redis may have forgotten it, or was away when it was claimed. */
  function claimAnew(): void {
    for (const request of held.values()) claimThere(request, true).catch(ignore)
  }

  redis.onBack(() => {
    const over = ended
    ended = []
    for (const request of over) free(request)
    claimAnew()
  })

  return {
    async claim(request) {
      const { key } = request
      // One of this process after the other, so that none is told of a twin that Redis may yet turn away.
      for (let twin = asking.get(key); twin !== undefined; twin = asking.get(key)) await twin
      const claim = decide(request).finally(() => asking.delete(key))
      asking.set(key, claim)
      return claim
    },
    keep(key, owner, answer) {
      near.keep(key, owner, answer)
      const request = letGo(key, owner)
      if (request === null) return
      if (Buffer.byteLength(answer.body) > answerBytesMax) free(request)
      else void store(request, answer)
    },
    release(key, owner) {
      near.release(key, owner)
      const request = letGo(key, owner)
      if (request !== null) free(request)
    },
    close: () => stopRenewal?.(),
  }
}

const CLAIMED: Claim = { kind: 'claimed' }

/** Keys are the callers' own words, of any length. */
function nameOf(key: string): string {
  return `idempotency:${sha256(key)}`
}

function ignore(): void {}
