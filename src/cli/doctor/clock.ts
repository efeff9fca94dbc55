import { about, type Finding } from './finding.ts'

/** Compares the clock of this machine with that of another by the `date` of its answer (RFC 9110 §6.6.1), as far as it
 * tells one.
 *
 * @param options.subject The id of the other machine.
 * @param options.warning The difference from which there is a warning, in milliseconds; `failed`, a failure. */
export function compareClocks(options: {
  readonly subject: string
  readonly date: string | null
  readonly warning: number
  readonly failed: number
}): readonly Finding[] {
  const theirs = Date.parse(options.date ?? '')
  if (Number.isNaN(theirs)) return []
  const skew = Date.now() - theirs
  const off = Math.abs(skew)
  if (off < options.warning) return []
  const { warning, failed } = about('clock', options.subject)
  const detail = `the clock of this machine is ${Math.round(off / 1000)} s ${skew > 0 ? 'ahead of' : 'behind'} that of the server`
  const remedy =
    'Set the clock by NTP (`timedatectl set-ntp true`), here or there: tokens, signatures and budgets depend on it.'
  return [off < options.failed ? warning(detail, remedy) : failed(detail, remedy)]
}
