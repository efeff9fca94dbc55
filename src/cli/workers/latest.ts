import type { News } from '#core/crew.ts'

/** The latest news of each server from all workers, for workers that are started later. */
export interface Latest {
  note(news: News): void
  all(): readonly News[]
}

const SERVERS_MAX = 10_000

/** Creates the memory. When it is full, the entry that was not updated for longest is dropped: most likely that of a
 * server that was removed. */
export function createLatest(): Latest {
  const known = new Map<string, News>()
  return {
    note(news) {
      if (news.type !== 'server-probed' && news.type !== 'server-read') return
      const what = `${news.type} ${news.server}`
      known.delete(what)
      known.set(what, news)
      const [oldest] = known.keys()
      if (known.size > SERVERS_MAX && oldest !== undefined) known.delete(oldest)
    },
    all: () => [...known.values()],
  }
}
