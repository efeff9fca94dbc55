import type { Live } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { abandonable, type Scope } from '#core/scope.ts'
import { QuietWatch } from './upstream/quiet.ts'
import type { Wishes } from './wishes.ts'

/** Waits for a stream no longer than its caller wants to: for the first content, and then for each piece. Only the
 * caller's own subscription ends. The work goes on while others wait for it, and this does not count as a failure of
 * the server.
 *
 * @param own The scope of the subscription. It ends with `deadline_exceeded` when a timeout is over. */
export async function patiently(
  answer: Promise<Live>,
  { firstTokenMs, idleMs }: Pick<Wishes, 'firstTokenMs' | 'idleMs'>,
  { clock, own }: { readonly clock: Clock; readonly own: Scope },
): Promise<Live> {
  const late = () => own.cancel(tooLate('The answer did not begin within the time that the request allows.'))
  const disarm = firstTokenMs === null ? null : clock.after(firstTokenMs, late)
  try {
    const live = await abandonable(answer, own)
    return idleMs === null ? live : watched(live, idleMs, { clock, own })
  } finally {
    disarm?.()
  }
}

function watched(live: Live, idleMs: number, { clock, own }: { readonly clock: Clock; readonly own: Scope }): Live {
  const quiet = new QuietWatch(clock, idleMs, () =>
    own.cancel(tooLate('The answer paused for longer than the request allows.')),
  )
  quiet.begun = true
  return {
    target: live.target,
    model: live.model,
    encoded: live.encoded,
    async next() {
      quiet.wait()
      try {
        return await abandonable(live.next(), own)
      } finally {
        quiet.rest()
      }
    },
    bypass: to =>
      live.bypass?.(
        to &&
          (said => {
            quiet.heard(said.at)
            return to(said)
          }),
      ),
    close() {
      quiet.stop()
      live.close()
    },
  }
}

function tooLate(message: string): GatewayError {
  return new GatewayError('deadline_exceeded', message)
}
