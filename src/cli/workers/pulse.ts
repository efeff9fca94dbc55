import type { Clock } from '#core/clock.ts'
import type { Member } from './member.ts'

/** How often workers are asked, in milliseconds, and how many answers may be missing. Counted, and not measured, because
 * nobody answers while the machine sleeps. */
const EVERY_MS = 10_000
const MISSED_MAX = 5

/** Asks each worker that has begun to serve whether its event loop runs. The system goes on giving connections to one that
 * hangs, also when it was told to leave, and nobody else can take those.
 *
 * @param members The current workers; the caller sets `missed` to 0 with each report of one.
 * @param onSilent Called with a worker that has not answered for about a minute. */
export function watchPulses(
  members: ReadonlySet<Member>,
  clock: Pick<Clock, 'after'>,
  onSilent: (member: Member) => void,
): void {
  clock.after(EVERY_MS, () => {
    for (const member of members) {
      if (member.state === 'starting') continue
      if (member.missed === MISSED_MAX) onSilent(member)
      else {
        member.missed++
        member.send({ type: 'pulse' })
      }
    }
    watchPulses(members, clock, onSilent)
  })
}
