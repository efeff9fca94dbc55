import { CitadelError } from './errors.ts'

/** How far an application has moved from its provider to the gateway. */
export interface Migration {
  /** `GATEWAY_ENABLED`: false sends everything to the provider. */
  readonly enabled: boolean
  /** `GATEWAY_PERCENT`: the share of the calls that the gateway answers, 0 to 100. */
  readonly percent: number
  /** `GATEWAY_COMPARE_PERCENT`: the share of the calls that the other side answers too, for comparison, 0 to 100. */
  readonly comparePercent: number
  /** `GATEWAY_FALLBACK`: whether the provider answers when the gateway cannot. */
  readonly fallback: boolean
}

/** One of the two ways that a call can go. */
export type Way = 'gateway' | 'direct'

/** How a call went. */
export type Settled<R> =
  | { readonly way: Way; readonly ms: number; readonly answer: R }
  | { readonly way: Way; readonly ms: number; readonly error: unknown }

/** What happened beside the answer. */
export type MigrationEvent<R> =
  | { readonly kind: 'fallback'; readonly error: CitadelError }
  | { readonly kind: 'compared'; readonly answered: Settled<R>; readonly other: Settled<R> }

/** What a migrating call is made of. */
export interface MigrationOptions<A extends readonly unknown[], R> {
  /** Read at every call, so that a change of the flags takes effect at once. */
  readonly settings: () => Migration
  /** Who calls: equal texts go the same way while the percentage stays. Chance decides without it. */
  readonly key?: (...args: A) => string
  /** Told what happened beside the answer. What it throws is written to the console, and costs nobody an answer. */
  readonly report?: (event: MigrationEvent<R>) => void
}

/** Reads the four flags; without them everything goes through the gateway, and falls back to the provider. While it is
 * switched off the others are not read: whoever has to switch it off may have got one of them wrong.
 *
 * @throws RangeError naming a flag whose value is none. */
export function migrationFromEnv(env: Env): Migration {
  const enabled = flag(env, 'GATEWAY_ENABLED')
  const read = enabled ? env : {}
  return {
    enabled,
    percent: percentage(read, 'GATEWAY_PERCENT', 100),
    comparePercent: percentage(read, 'GATEWAY_COMPARE_PERCENT', 0),
    fallback: flag(read, 'GATEWAY_FALLBACK'),
  }
}

/** Makes one function of two that do the same, one by the gateway and one by a provider.
 *
 * A call falls back when the gateway was not reached or failed by itself (status 500 and more). A refusal (a limit, a
 * budget, a right) is the answer: falling back would go around it. A stream that has begun is not begun again. Streams
 * and calls that have failed are not compared. */
export function migrate<A extends readonly unknown[], R>(
  ways: { readonly [way in Way]: (...args: A) => Promise<R> },
  { settings, key, report = () => {} }: MigrationOptions<A, R>,
): (...args: A) => Promise<R> {
  async function tell(event: MigrationEvent<R>): Promise<void> {
    try {
      await report(event)
    } catch (thrown) {
      console.error('The report of a migration failed:', thrown)
    }
  }

  return async (...args) => {
    const { enabled, percent, comparePercent, fallback } = settings()
    const toGateway = enabled && (key === undefined ? Math.random() * 100 : bucketOf(key(...args))) < percent
    const run = (way: Way) => settle(way, () => ways[way](...args))
    const answered = await run(toGateway ? 'gateway' : 'direct')
    const failed = 'error' in answered && answered.error instanceof CitadelError ? answered.error : null
    if (toGateway && fallback && failed !== null && isOutage(failed)) {
      void tell({ kind: 'fallback', error: failed })
      return ways.direct(...args)
    }
    // What has failed may have been to be a stream, and the other side would begin one that nobody reads.
    if ('error' in answered) throw answered.error
    if (enabled && Math.random() * 100 < comparePercent && !isStream(answered.answer)) {
      void run(toGateway ? 'direct' : 'gateway').then(other => tell({ kind: 'compared', answered, other }))
    }
    return answered.answer
  }
}

async function settle<R>(way: Way, call: () => Promise<R>): Promise<Settled<R>> {
  const startedAt = Date.now()
  try {
    return { way, answer: await call(), ms: Date.now() - startedAt }
  } catch (error) {
    return { way, error, ms: Date.now() - startedAt }
  }
}

function isOutage({ code, status }: CitadelError): boolean {
  const refused = status !== null && status >= 400 && status < 500
  return !refused && code !== 'aborted'
}

function isStream(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

/** A number from 0 up to 100 for a text (FNV-1a). */
function bucketOf(text: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  return ((hash >>> 0) / 2 ** 32) * 100
}

type Env = Readonly<Record<string, string | undefined>>

function flag(env: Env, name: string): boolean {
  const value = env[name] || 'true'
  if (/^(?:true|1|on)$/i.test(value)) return true
  if (/^(?:false|0|off)$/i.test(value)) return false
  throw new RangeError(`${name} takes true or false, not "${value}".`)
}

function percentage(env: Env, name: string, preset: number): number {
  const value = env[name] || preset
  const number = Number(value)
  if (number >= 0 && number <= 100) return number
  throw new RangeError(`${name} takes 0 to 100, not "${value}".`)
}
