import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Target, TargetId } from '#core/servers.ts'
import type { States, TargetState } from '#core/states.ts'
import { isLimited } from './rules.ts'

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
   * @returns Whether another one may be tried at once. */
  rejected(target: Target, secret: string | null, error: GatewayError): boolean
  /** Forgets everything: after a reload any credential may be another one. */
  forget(): void
}

/** Creates the rotation. What is out is remembered by target, for a key may be refused for one model only. */
export function createCredentials(deps: {
  readonly states: States
  readonly clock: Clock
  readonly journal: Journal
}): Credentials {
  const { states, clock, journal } = deps
  /** For each target its credentials that are out, and until when. */
  const out = new Map<TargetId, Map<string, number>>()
  const refused = new Set<TargetState>()

  function isOut(target: Target, secret: string): boolean {
    return (out.get(target.id)?.get(secret) ?? 0) > clock.now()
  }

  function left(target: Target): number {
    return target.server.secrets.filter(secret => !isOut(target, secret)).length
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
      const limited = isLimited(error)
      if (secret !== null && target.server.secrets.length > 1) {
        const of = out.get(target.id) ?? new Map<string, number>()
        out.set(target.id, of)
        of.set(secret, clock.now() + (limited ? (error.retryAfterMs ?? LIMITED_MS) : OUT_MS))
      }
      const rest = secret === null || target.server.secrets.length < 2 ? 0 : left(target)
      if (!limited) {
        if (rest === 0) allRefused(target)
        const { server, upstreamModel } = target
        journal.note({ type: 'credential-refused', server: server.id, model: upstreamModel, left: rest })
      }
      return rest > 0
    },
    forget() {
      for (const state of refused) state.refusedUntil = 0
      refused.clear()
      out.clear()
    },
  }
}
