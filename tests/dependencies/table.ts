/** What a call with a known key meets while a dependency fails. */
export interface Outcome {
  /** How often the dependency is lost: each loss may keep one call waiting, and cost what the guide says. */
  readonly losses: number
  /** What a key is answered that no process knows, while it lasts. */
  readonly unknown: readonly number[]
}

/** What Redis can suffer. */
export const REDIS = {
  'down at the start': { losses: 1, unknown: [401] },
  dies: { losses: 1, unknown: [401] },
  'slow, 300 ms': { losses: 1, unknown: [401] },
  'black hole': { losses: 1, unknown: [401] },
  flapping: { losses: 4, unknown: [401] },
  'read-only': { losses: 1, unknown: [401] },
  'out of memory': { losses: 1, unknown: [401] },
  'restarted empty': { losses: 1, unknown: [401] },
} as const satisfies Readonly<Record<string, Outcome>>

/** What a Postgres can suffer, and what becomes of the rows that it had. */
export const POSTGRES = {
  'down at the start': { losses: 1, unknown: [503], rows: 'kept' },
  dies: { losses: 1, unknown: [503], rows: 'kept' },
  'slow, 300 ms': { losses: 1, unknown: [401, 503], rows: 'kept' },
  'black hole': { losses: 1, unknown: [503], rows: 'kept' },
  flapping: { losses: 3, unknown: [503], rows: 'kept' },
  'read-only': { losses: 1, unknown: [401, 503], rows: 'kept' },
  'out of memory': { losses: 1, unknown: [503], rows: 'kept' },
  'restarted empty': { losses: 1, unknown: [503], rows: 'gone' },
} as const satisfies Readonly<Record<string, Outcome & { readonly rows: 'kept' | 'gone' }>>

/** Who looks whether it is back has to wait, too. */
const SILENT: ReadonlySet<string> = new Set(['slow, 300 ms', 'black hole'])

const once = (losses: number) => (losses === 1 ? 'once' : 'at each loss')
const answers = (unknown: Outcome['unknown']) => unknown.join(' or ')

/** The rows of the guide for Redis: what happens to it; how often a call with a known key waits; how much more than
 * burst + rate × t is admitted at most; what a key is answered that nobody knows. */
export function redisRows(): readonly (readonly string[])[] {
  return Object.entries(REDIS).map(([name, { losses, unknown }]) => [
    name,
    `≤ 300 ms, ${once(losses)}`,
    `one burst, and a request for each process${losses === 1 ? '' : ', at each loss'}`,
    answers(unknown),
  ])
}

/** The same for Postgres: how much more than a budget is spent at most, and where the rows are. */
export function postgresRows(): readonly (readonly string[])[] {
  return Object.entries(POSTGRES).map(([name, { losses, unknown, rows }]) => [
    name,
    `≤ 300 ms, ${SILENT.has(name) ? 'every 2 s' : once(losses)}`,
    'what was left, for each other process',
    answers(unknown),
    rows === 'kept' ? 'all, once' : 'those since',
  ])
}
