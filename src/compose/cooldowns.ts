import type { Clock } from '#core/clock.ts'
import type { Crew } from '#core/crew.ts'
import type { Fact } from '#core/journal.ts'
import type { Target } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import type { States } from '#core/states.ts'
import { sha256 } from '#lib/hash.ts'
import { coolFor } from '#policies/cooldown.ts'
import type { Redis } from '#stores/redis.ts'
import { createRedisCooldowns } from '#stores/redis-cooldowns.ts'

/** Tells the other workers, and through Redis the other nodes, which targets limit their callers.
 *
 * @returns A function that stops it. */
export function shareCooldowns(deps: {
  readonly clock: Clock
  readonly crew: Crew
  readonly redis: Redis | null
  readonly states: States
  readonly snapshot: () => Snapshot
  readonly listen: (subscriber: (fact: Fact) => void) => void
}): () => void {
  const { clock, crew, redis, states, snapshot } = deps
  const cool = (target: Target, ms: number) => void coolFor(states.target(target), ms, clock.now())
  const shared =
    redis === null
      ? null
      : createRedisCooldowns({
          redis,
          clock,
          onHeard(leftMs) {
            if (leftMs.size === 0) return
            for (const target of snapshot().targets.values()) {
              const ms = leftMs.get(nameOf(target))
              if (ms !== undefined) cool(target, ms)
            }
          },
        })
  deps.listen(fact => {
    if (fact.type !== 'target-limited') return
    crew.tell(fact)
    const target = snapshot().targets.get(fact.target)
    if (target !== undefined) shared?.tell(nameOf(target), fact.ms)
  })
  crew.listen(news => {
    if (news.type !== 'target-limited') return
    const target = snapshot().targets.get(news.target)
    if (target !== undefined) cool(target, news.ms)
  })
  return () => shared?.close()
}

/** The name of a target in Redis. Nodes may have other ids for the same server. Credentials and headers are part of it:
 * another key or organisation is not limited by what this one has used. */
function nameOf({ server: { kind, baseUrl, secrets, headers }, upstreamModel }: Target): string {
  return sha256(JSON.stringify([kind, baseUrl, secrets, headers, upstreamModel]))
}
