import type { Member } from './member.ts'
import type { Order } from './messages.ts'

/** Which of the workers does what only one may do, and what it has to know for that. */
export interface Lead {
  /** Whether a worker that is about to begin leads: the first one does. */
  isTakenBy(member: Member): boolean
  /** Sees to it that somebody leads, now that one serves. */
  fill(): void
  /** Sees to it that another one leads if this one did. */
  pass(from: Member): void
  /** Remembers whether the last reload failed: whoever leads next tells it on. */
  note(order: Order): void
  /** Tells a worker that has just begun what it has to know if it leads. */
  instruct(member: Member): void
  tell(order: Order): void
}

/** Creates it; nobody leads yet.
 *
 * @param members The workers there are, which come and go. */
export function createLead(members: ReadonlySet<Member>): Lead {
  let leader: Member | null = null
  let failed: Order | null = null

  function instruct(member: Member): void {
    if (member === leader && failed !== null) member.hired?.send(failed)
  }

  function elect(): void {
    leader = [...members].find(({ state }) => state === 'serving') ?? null
    leader?.hired?.send({ type: 'news', news: { type: 'lead' } })
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
    tell: order => leader?.hired?.send(order),
  }
}
