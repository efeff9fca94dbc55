import { createInTurn } from '#lib/in-turn.ts'
import { type Options, type Settled, settle } from './options.ts'
import { watchedFiles } from './reload.ts'

/** The configuration as it was read last, and how it is read again. */
export interface Configured {
  latest(): Settled
  /** The files whose change asks for a reload: those in use, and those that the last reading asked for, for what it did not
   * find may come. */
  files(): readonly string[]
  /** Reads it again, one reading at a time: else the older of two could come last.
   *
   * @param take Takes it over; where it throws, the one before holds.
   * @throws ConfigError, and what `take` throws. */
  read(take: (next: Settled) => void): Promise<Settled>
}

/** Begins with what was read at the start. */
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
