import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Target, TargetId } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { isLimited, ruleFor } from './rules.ts'

/** How long a refused credential is out, and a target without any other, in milliseconds. */
const OUT_MS = 600_000
const ALL_OUT_MS = 30_000
/** How long a limited credential rests when the server does not say. */
const LIMITED_MS = 1000

/** Which credential an attempt uses. */
export interface Credentials {
  /** The first one that is not out; `null` when the server needs none. */
  choose(target: Target): string | null
  /** Puts a credential out that was refused or limited; others of the same server stay in.
   *
   * @returns `null` when another one may be tried at once; else what that comes to for the target: while some of them
   * are only limited, the limit that ends first. */
  rejected(target: Target, secret: string | null, error: GatewayError): GatewayError | null
  /** Forgets everything: after a reload any credential may be another one. */
  forget(): void
}

/** A credential that is out, and why. */
interface Out {
  readonly until: number
  readonly error: GatewayError
}

/** Creates the rotation. What is out is remembered by target, for a key may be refused for one model only. */
export function createCredentials(deps: {
  readonly states: States
  readonly clock: Clock
  readonly journal: Journal
}): Credentials {
  const { states, clock, journal } = deps
  /** For each target its credentials that are out. */
  const out = new Map<TargetId, Map<string, Out>>()
  const refused = new Set<TargetState>()

  function isOut(target: Target, secret: string): boolean {
    return (out.get(target.id)?.get(secret)?.until ?? 0) > clock.now()
  }

  function left(target: Target): number {
    return target.server.secrets.filter(secret => !isOut(target, secret)).length
  }

  /** The limit that ends first, of a credential that comes back by itself where there is one; `null` when none is limited. */
  function limitOf(target: Target): GatewayError | null {
    const now = clock.now()
    const [first] = [...(out.get(target.id)?.values() ?? [])]
      .filter(({ until, error }) => until > now && isLimited(error))
      .sort((one, other) => Number(comesBack(other)) - Number(comesBack(one)) || one.until - other.until)
    if (first === undefined) return null
    const { code, message, cause } = first.error
    return new GatewayError(code, message, { cause, retryAfterMs: first.until - now })
  }

  function allRefused(target: Target): void {
    for (const state of refused) if (state.refusedUntil <= clock.now()) refused.delete(state)
    const state = states.target(target)
    state.refusedUntil = clock.now() + ALL_OUT_MS
    refused.add(state)
    // When the target comes back, each of them gets another chance.
    out.delete(target.id)
  }

  return {
    choose(target) {
      const { secrets } = target.server
      const [first = null] = secrets
      if (secrets.length < 2 || !out.has(target.id)) return first
      return secrets.find(secret => !isOut(target, secret)) ?? first
    },
    rejected(target, secret, error) {
      const { server, upstreamModel } = target
      const limited = isLimited(error)
      const several = secret !== null && server.secrets.length > 1
      if (several) {
        const of = out.get(target.id) ?? new Map<string, Out>()
        out.set(target.id, of)
        of.set(secret, { until: clock.now() + (limited ? (error.retryAfterMs ?? LIMITED_MS) : OUT_MS), error })
      }
      const rest = several ? left(target) : 0
      const limit = rest === 0 ? limitOf(target) : null
      if (!limited) {
        if (rest === 0 && limit === null) allRefused(target)
        journal.note({ type: 'credential-refused', server: server.id, model: upstreamModel, left: rest })
      }
      return rest > 0 ? null : (limit ?? error)
    },
    forget() {
      for (const state of refused) state.refusedUntil = 0
      refused.clear()
      out.clear()
    },
  }
}

/** Whether waiting is enough; money does not come by itself. */
function comesBack({ error }: Out): boolean {
  return ruleFor(error.code).again
}
