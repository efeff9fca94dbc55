import type { Member } from './member.ts'
import type { Order } from './messages.ts'

/** Chooses the leader: the one worker that does what only one may do, such as probing servers. */
export interface Lead {
  /** Whether a worker that is being started is the leader: the first one is. */
  isTakenBy(member: Member): boolean
  /** Chooses a leader if there is none; to be called when a worker begins to serve. */
  fill(): void
  /** Chooses another leader if this worker was it. */
  pass(from: Member): void
  /** Remembers whether the last reload failed, for the next leader. */
  note(order: Order): void
  /** Sends a new leader what it has to know: that the last reload failed. Does nothing for other workers. */
  instruct(member: Member): void
  /** Sends an order to the leader. */
  tell(order: Order): void
}

/** Creates the choice; there is no leader yet.
 *
 * @param members The current workers; the caller adds and removes them. */
export function createLead(members: ReadonlySet<Member>): Lead {
  let leader: Member | null = null
  let failed: Order | null = null

  function instruct(member: Member): void {
    if (member === leader && failed !== null) member.send(failed)
  }

  function elect(): void {
    leader = [...members].find(({ state }) => state === 'serving') ?? null
    leader?.send({ type: 'news', news: { type: 'lead' } })
    if (leader !== null) instruct(leader)
  }

  return {
    isTakenBy(member) {
      leader ??= member
      return leader === member
    },
    fill() {
      if (leader === null) elect()
    },
    pass(from) {
      if (leader === from) elect()
    },
    note(order) {
      if (order.type === 'reload-failed') failed = order
      else if (order.type === 'reload') failed = null
    },
    instruct,
    tell: order => leader?.send(order),
  }
}
