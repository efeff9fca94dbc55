const WINDOW_MS = 5 * 60_000

/** Counts the distinct callers of the last five minutes. */
export interface Sessions {
  /** @param now Monotonic milliseconds. */
  seen(id: string, now: number): void
  count(now: number): number
}

/** Creates the count.
 *
 * @param entriesMax Callers that are remembered; while there are as many, further ones are not counted. */
export function createSessions(entriesMax: number): Sessions {
  const lastSeen = new Map<string, number>()
  return {
    seen(id, now) {
      if (lastSeen.size < entriesMax || lastSeen.has(id)) lastSeen.set(id, now)
    },
    count(now) {
      for (const [id, at] of lastSeen) if (now - at > WINDOW_MS) lastSeen.delete(id)
      return lastSeen.size
    },
  }
}
