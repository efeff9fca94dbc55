import type { Attempt, Candidate, Plan } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { type Code, GatewayError, type GatewayErrorOptions } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import type { States } from '#core/states.ts'
import { failover } from '#policies/failover.ts'
import { createStates } from '#registry/states.ts'
import { call, liveOf, model, server, target } from './calls.ts'
import { fakeClock, settled } from './clock.ts'
import { policiesFor } from './policies.ts'

/** What a server does when it is asked: answers, or fails. */
export type Outcome = 'ok' | Code | GatewayError

/** An error with its code as its message. */
export const fail = (code: Code, options: GatewayErrorOptions = {}) => new GatewayError(code, code, options)
/** The error of a server that limits its callers, and asks for so long a wait. */
export const limited = (retryAfterMs: number | null) => fail('provider_rate_limited', { retryAfterMs })

/** A plan with candidates of the requested model, of another requested one (`beside`), and of their fallback. */
export function planOf(
  primaries: readonly string[],
  fallbacks: readonly string[] = [],
  lengths: readonly (number | undefined)[] = [],
  beside: readonly string[] = [],
): Plan {
  const of = (name: string, ids: readonly string[], length: number | undefined): Candidate[] => {
    const targets = ids.map(id => target(id, { server: server(id, { secrets: id === 'keys' ? ['one', 'two'] : [] }) }))
    const capabilities = { context_length: length ?? null, tools: null, vision: null, prefill: false }
    const only = model(name, targets, { capabilities })
    return targets.map(each => ({ target: each, model: only, reason: '', ...(name === 'other' && { fallback: true }) }))
  }
  const candidates = [
    ...of('m', primaries, lengths[0]),
    ...of('n', beside, undefined),
    ...of('other', fallbacks, lengths[1]),
  ]
  return { model: model('m', []), strategy: 'explicit', candidates }
}

export interface OverOptions extends NonNullable<Parameters<typeof policiesFor>[2]> {
  readonly fallbacks?: readonly string[]
  /** Servers of another model that was asked for as well. */
  readonly beside?: readonly string[]
  /** Servers whose target the fallback model has too. */
  readonly shared?: readonly string[]
  readonly lengths?: readonly (number | undefined)[]
  /** Servers at which other calls have failed lately. */
  readonly failing?: readonly string[]
  /** Servers that were drained since the call was planned. */
  readonly drained?: readonly string[]
  /** Servers that were taken out of the fleet since. */
  readonly removed?: readonly string[]
  /** Until when servers are not asked because they have refused every key, in milliseconds. */
  readonly refusing?: Readonly<Record<string, number>>
  /** What happens to servers because of others, after so many milliseconds of the call. */
  readonly meanwhile?: Readonly<Record<number, (states: States) => void>>
  /** For how long servers are left alone because of other calls, in milliseconds. */
  readonly resting?: Readonly<Record<string, number>>
  /** Servers that were out when the call was planned. */
  readonly later?: readonly string[]
  /** Servers with a half-open breaker whose trial is under way. */
  readonly onTrial?: readonly string[]
  /** Servers that seem to be down, and are asked all the same because all the others are. */
  readonly doubted?: readonly string[]
  readonly call?: Partial<Call>
  readonly within?: number
}

/** Runs a call. Each server has a list of outcomes, one for each attempt, of which the last one repeats; the clock
 * advances by itself.
 *
 * @returns Among others the attempts in `tried`, as `server milliseconds` or `server:key milliseconds`. */
export async function over(outcomes: Readonly<Record<string, readonly Outcome[]>>, options: OverOptions = {}) {
  const clock = fakeClock()
  const states = createStates()
  const { fallbacks = [], beside = [], shared = [], failing = [], drained = [], later = [] } = options
  for (const id of drained) states.server(id).draining = true
  for (const [ms, change] of Object.entries(options.meanwhile ?? {})) clock.after(Number(ms), () => change(states))
  for (const id of failing) states.target(target(id)).breaker.failures = 1
  for (const [id, ms] of Object.entries(options.resting ?? {})) states.target(target(id)).coolUntil = ms
  for (const [id, ms] of Object.entries(options.refusing ?? {})) states.target(target(id)).refusedUntil = ms
  for (const id of options.onTrial ?? [])
    Object.assign(states.target(target(id)).breaker, { openUntil: -1, trial: true })
  const tried: string[] = []
  const wants: boolean[] = []
  const attempt: Attempt = async ({ slot, secret, wantsContent = false }) => {
    wants.push(wantsContent)
    const { id } = slot.candidate.target.server
    const before = tried.filter(each => each.startsWith(`${id} `) || each.startsWith(`${id}:`)).length
    tried.push(`${id}${typeof secret === 'string' ? `:${secret}` : ''} ${clock.now()}`)
    const list = outcomes[id] ?? []
    const outcome = list[Math.min(before, list.length - 1)] ?? 'ok'
    if (outcome === 'ok') return liveOf([])
    throw typeof outcome === 'string' ? fail(outcome) : outcome
  }
  const isOffered = ({ server: { id } }: Target) => options.removed?.includes(id) !== true
  const deps = { ...policiesFor(states, clock, options), isOffered }
  const scope = createScope(clock, { within: options.within ?? 60_000 })
  const trail = { begin: () => ({ server: '', model: '', startedAt: 0, ms: 0, result: null, cause: null }) }
  const whole = planOf(
    Object.keys(outcomes).filter(id => ![...fallbacks, ...beside].includes(id)),
    [...fallbacks, ...shared],
    options.lengths,
    beside,
  )
  const wasOut = ({ target: { server } }: Candidate) => later.includes(server.id)
  const plan = {
    ...whole,
    candidates: whole.candidates
      .filter(each => !wasOut(each))
      .map(each => (options.doubted?.includes(each.target.server.id) ? { ...each, doubted: true } : each)),
    later: whole.candidates.filter(wasOut),
  }
  const run = failover(deps)(attempt)(call({ stream: false, ...options.call }), plan, scope, trail)
  let done = false
  const result = run
    .next()
    .then(
      () => null,
      (error: GatewayError) => error,
    )
    .finally(() => {
      done = true
    })
  for (let step = 0; step < 400 && !done; step++) {
    await settled(1)
    if (!done) clock.advance(50)
  }
  return { error: await result, tried, wants, clock, scope, run, budget: deps.budget, states }
}
