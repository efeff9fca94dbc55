import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Target, TargetId } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { isLimited, ruleFor } from './rules.ts'

/** How long a refused credential is not used, and a target that has no other one, in milliseconds. */
const OUT_MS = 600_000
const ALL_OUT_MS = 30_000
/** How long a rate-limited credential is not used when the server does not say, in milliseconds. */
const LIMITED_MS = 1000

/** Chooses the credential of each attempt. */
export interface Credentials {
  /** The first credential that may be used; `null` when the server needs none. */
  choose(target: Target): string | null
  /** Stops using a credential that was refused or rate-limited; other credentials of the server stay in use.
   *
   * @returns `null` when another one may be tried at once; else the error that applies to the whole target: when some
   * are only rate-limited, the limit that ends first. */
  rejected(target: Target, secret: string | null, error: GatewayError): GatewayError | null
  /** Forgets all refusals: after a reload the credentials may be different ones. */
  forget(): void
}

/** A credential that is not used for now, and why. */
interface Out {
  readonly until: number
  readonly error: GatewayError
}

/** Creates the rotation of credentials. Refusals are remembered for each target, because a key may be refused for one
 * model only. */
export function createCredentials(deps: {
  readonly states: States
  readonly clock: Clock
  readonly journal: Journal
}): Credentials {
  const { states, clock, journal } = deps
  /** The credentials that are not used for now, for each target. */
  const out = new Map<TargetId, Map<string, Out>>()
  const refused = new Set<TargetState>()

  function isOut(target: Target, secret: string): boolean {
    return (out.get(target.id)?.get(secret)?.until ?? 0) > clock.now()
  }

  function left(target: Target): number {
    return target.server.secrets.filter(secret => !isOut(target, secret)).length
  }

  /** The rate limit that ends first, preferably one that ends by itself; `null` when no credential is rate-limited. */
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
    // Every credential gets another chance when the target comes back.
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

/** Whether a credential works again after some time. Missing credit does not return by itself. */
function comesBack({ error }: Out): boolean {
  return ruleFor(error.code).again
}
