import { type CursorStore, LEASES_MAX } from '#core/events.ts'

/** Creates a store in the memory of this process. */
export function createMemoryCursors(): CursorStore {
  const cursors = new Map<string, { owner: string; after: string; until: number }>()
  return {
    async claim(webhook, owner, { now, until, first }) {
      const cursor = cursors.get(webhook) ?? { owner, after: first, until }
      const latest = now + LEASES_MAX * (until - now)
      if (cursor.owner !== owner && cursor.until > now && cursor.until <= latest) return null
      cursors.set(webhook, { ...cursor, owner, until })
      return cursor.after
    },
    async advance(webhook, owner, after, until) {
      if (cursors.get(webhook)?.owner !== owner) return false
      cursors.set(webhook, { owner, after, until })
      return true
    },
  }
}
