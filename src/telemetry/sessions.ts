const WINDOW_MS = 5 * 60_000

/** Remembers who was there in the last five minutes. */
export interface Sessions {
  seen(id: string, now: number): void
  count(now: number): number
}

/** Creates the memory; when it is full, newcomers are not counted until somebody has left. */
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
