import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '#core/clock.ts'
import type { Server } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'

export interface RelistingOptions {
  readonly clock: Clock
  readonly current: () => Snapshot
  readonly build: () => Snapshot
  /** Takes a snapshot that differs from the current one.
   *
   * @param message What has changed. */
  readonly take: (next: Snapshot, message: string) => void
}

/** Makes new snapshots of what servers list. */
export interface Relisting {
  /** A server lists something else than before. */
  changed(server: Server): void
  /** Follows at once what has changed so far. */
  settle(): void
  stop(): void
}

/** How long other servers are waited for after one has changed, in milliseconds. */
const GATHER_MS = 100
/** Names that a line of the log has room for. */
const TOLD_MAX = 5

/** Creates the relisting. The first change is followed at once, and those soon after it together: at the start all
 * servers of a fleet answer within a second, and a snapshot of a large fleet for each of them would hold up requests. */
export function createRelisting({ clock, current, build, take }: RelistingOptions): Relisting {
  const waiting = new Set<string>()
  let disarm: (() => void) | null = null

  /** Lists that change nothing leave the snapshot, and with it whose turn it is. */
  function settle(): void {
    const changed = [...waiting]
    if (changed.length === 0) return
    waiting.clear()
    const [before, next] = [current(), build()]
    if (isDeepStrictEqual(dataOf(next), dataOf(before))) return
    const lists = changed.length === 1 ? `the list of ${changed[0]} has` : `the lists of ${someOf(changed)} have`
    take(next, `${lists} changed${toldOf(before, next)}`)
  }

  function pause(): void {
    disarm = clock.after(GATHER_MS, () => {
      disarm = null
      if (waiting.size > 0) follow()
    })
  }

  function follow(): void {
    settle()
    pause()
  }

  return {
    changed(server) {
      waiting.add(server.id)
      if (disarm === null) follow()
    },
    settle,
    stop() {
      disarm?.()
      waiting.clear()
    },
  }
}

/** The models without the functions of their targets, which are others in each snapshot. */
function dataOf({ models }: Snapshot): readonly object[] {
  return Array.from(models.values(), ({ targets, ...model }) => ({
    ...model,
    targets: targets.map(({ priceBeside: _, ...target }) => target),
  }))
}

/** Which names of models are new, and which nobody has any more; nothing where they are the same. */
function toldOf({ models: before }: Snapshot, { models: now }: Snapshot): string {
  const told: string[] = []
  for (const [word, these, others] of [['new', now, before] as const, ['gone', before, now] as const]) {
    const names = [...these.keys()].filter(name => !others.has(name))
    if (names.length > 0) told.push(`${word}: ${someOf(names)}`)
  }
  return told.length === 0 ? '' : ` (${told.join('; ')})`
}

function someOf(names: readonly string[]): string {
  const more = names.length > TOLD_MAX ? ` and ${names.length - TOLD_MAX} more` : ''
  return `${names.slice(0, TOLD_MAX).join(', ')}${more}`
}
