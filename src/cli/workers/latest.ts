import type { News } from '#core/crew.ts'

/** What workers have told of servers, for those that come later. */
export interface Latest {
  note(news: News): void
  all(): readonly News[]
}

const SERVERS_MAX = 10_000

/** Creates it: it remembers the latest of each server. Of those that have left nothing more is told, and they are
 * forgotten first. */
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
