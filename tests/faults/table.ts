import { BEFORE } from './before.ts'
import { CALLERS } from './callers.ts'
import { DURING, HARMLESS } from './during.ts'
import type { Fault, Told } from './fault.ts'
import { REFUSED_BY } from './refused.ts'

/** Everything that a server can do, in the order of the faults' numbers. */
export const SERVERS: readonly Fault[] = [...BEFORE, ...REFUSED_BY, ...DURING, ...HARMLESS].toSorted(
  (left, right) => numberOf(left.id) - numberOf(right.id),
)

/** What cannot happen to an answer, and why: the only holes of the matrix beside the streams that embeddings do not
 * have. */
export const LEFT_OUT: Readonly<Record<string, string>> = {
  'F12 stream': 'a stream is not one JSON; what is wrong with its events is F13',
  'F13 plain': 'a plain answer has no events',
  'F26 plain': 'a plain answer is handed over whole, and then the call is over',
}

/** The rows of the guide, faults of one number with the same outcome in one row: what a server does, to which answers;
 * what the caller gets when there is one server, a second one, or a fallback model; whether the same server is tried
 * again. */
export function serverRows(): readonly (readonly string[])[] {
  return merged(
    SERVERS.map(fault => {
      const told = textOf(fault.alone)
      const other = fault.final ? told : isCut(fault.alone) ? 'recovered' : 'answered'
      const spare = fault.larger ? 'answered, where more context fits' : other
      return [fault.id, fault.name, callsOf(fault), told, other, spare, fault.again ? 'yes' : 'no']
    }),
  )
}

/** The same for what a caller does: what is logged, and whether a server was asked. */
export function callerRows(): readonly (readonly string[])[] {
  return merged(
    CALLERS.map(fault => {
      const { id, name, line } = fault
      return [id, name, callsOf(fault), `${line.status} ${line.code}`, line.outcome, fault.asked === 1 ? 'yes' : 'no']
    }),
  )
}

function merged(rows: readonly (readonly string[])[]): readonly (readonly string[])[] {
  const found = new Map<string, readonly [string, string[], readonly string[]]>()
  for (const [id = '', name = '', ...rest] of rows) {
    const key = [id, ...rest].join('|')
    const row = found.get(key) ?? [id, [], rest]
    row[1].push(name)
    found.set(key, row)
  }
  return [...found.values()].map(([id, names, rest]) => [id, names.join('; '), ...rest])
}

/** All faults of the matrix with the answers that they happen to. */
export function coverage(): ReadonlySet<string> {
  const kinds = (calls: Fault['calls']) => (calls === 'both' ? ['plain', 'stream'] : [calls])
  return new Set([...SERVERS, ...CALLERS].flatMap(({ id, calls }) => kinds(calls).map(kind => `${id} ${kind}`)))
}

function callsOf({ calls }: Pick<Fault, 'calls'>): string {
  return calls === 'both' ? 'all' : calls === 'plain' ? 'plain' : 'streams'
}

function textOf(told: Told): string {
  if (told === 'the whole answer') return 'answered'
  return 'event' in told ? `event ${told.event}` : `${told.status} ${told.code}`
}

function isCut(told: Told): boolean {
  return typeof told === 'object' && 'event' in told
}

function numberOf(id: string): number {
  return Number(id.slice(1))
}
