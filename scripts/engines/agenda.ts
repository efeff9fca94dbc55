/** What is to happen, in virtual time. */
export interface Agenda {
  now(): number
  /** Lets something happen at a time; what is due at once comes in the order in which it was asked for. */
  at(time: number, run: () => void): void
  /** Lets everything happen. */
  play(): void
}

interface Entry {
  readonly time: number
  readonly run: () => void
}

/** Creates an empty agenda that begins at one second, since 0 means "never" to what it is used with. */
export function createAgenda(): Agenda {
  const entries: Entry[] = []
  let now = 1000

  return {
    now: () => now,
    at(time, run) {
      let place = entries.length
      while (place > 0 && (entries[place - 1]?.time ?? 0) > time) place--
      entries.splice(place, 0, { time, run })
    },
    play() {
      for (let next = entries.shift(); next !== undefined; next = entries.shift()) {
        now = Math.max(now, next.time)
        next.run()
      }
    },
  }
}
