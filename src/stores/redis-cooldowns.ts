import type { Clock } from '#core/clock.ts'
import type { Redis } from './redis.ts'
import { redisScript } from './redis-script.ts'

export interface RedisCooldownsOptions {
  readonly redis: Pick<Redis, 'use'>
  readonly clock: Pick<Clock, 'after'>
  /** Told, again and again, which targets are left alone, by name, and for how many milliseconds. */
  readonly onHeard: (leftMs: ReadonlyMap<string, number>) => void
}

/** What all processes on one Redis know of targets that limit their callers. */
export interface RedisCooldowns {
  /** Tells the others of a target. */
  tell(name: string, ms: number): void
  close(): void
}

/** The tag keeps it with the limits, on their node of a cluster. */
const KEY = '{citadel}:limited'
/** How often the others are heard. */
const HEAR_MS = 500

const limitedScript = redisScript('limited', 'now')

/** Begins to hear the others. While Redis is away each process goes by what it has seen itself. */
export function createRedisCooldowns({ redis, clock, onHeard }: RedisCooldownsOptions): RedisCooldowns {
  let news = new Map<string, number>()
  let asking = false
  let closed = false
  let disarm = () => {}

  async function ask(): Promise<void> {
    disarm()
    asking = true
    const told = [...news].flat()
    news = new Map()
    try {
      const answer = await redis.use(client => limitedScript(client, KEY, ['', ...told]))
      if (!closed) onHeard(pairsOf(answer))
    } catch {
      // What was told meanwhile is not told again: it is soon over.
    }
    asking = false
    askIn(news.size > 0 ? 0 : HEAR_MS)
  }

  function askIn(ms: number): void {
    if (asking || closed) return
    disarm()
    disarm = clock.after(ms, () => void ask())
  }

  void ask()
  return {
    tell(name, ms) {
      news.set(name, ms)
      askIn(0)
    },
    close() {
      closed = true
      disarm()
    },
  }
}

function pairsOf(answer: unknown): ReadonlyMap<string, number> {
  const pairs = new Map<string, number>()
  if (!Array.isArray(answer)) return pairs
  for (let at = 0; at < answer.length; at += 2) pairs.set(String(answer[at]), Number(answer[at + 1]))
  return pairs
}
