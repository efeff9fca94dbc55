import { createInTurn } from '#lib/in-turn.ts'
import { type Options, type Settled, settle } from './options.ts'
import { watchedFiles } from './reload.ts'

/** The configuration in use, and how it is reloaded. */
export interface Configured {
  latest(): Settled
  /** The files to watch: those in use, and those that the last reload looked for, because a missing file may appear. */
  files(): readonly string[]
  /** Reloads the configuration. Reloads run one after the other, so that an older one cannot overwrite a newer one.
   *
   * @param take Applies the new configuration; if it throws, the previous one stays in use.
   * @throws ConfigError when it is not valid, and whatever `take` throws. */
  read(take: (next: Settled) => void): Promise<Settled>
}

/** Holds the configuration in use, at first the one that was loaded at the start. */
export function createConfigured(options: Options, first: Settled): Configured {
  const inTurn = createInTurn()
  let latest = first
  let wanted: readonly string[] = []

  async function readNow(take: (next: Settled) => void): Promise<Settled> {
    const asked: string[] = []
    try {
      const next = await settle(options, latest, file => asked.push(file))
      asked.push(...watchedFiles(next))
      take(next)
      latest = next
      return next
    } finally {
      wanted = asked
    }
  }

  return {
    latest: () => latest,
    files: () => [...watchedFiles(latest), ...wanted],
    read: take => inTurn(() => readNow(take)),
  }
}
