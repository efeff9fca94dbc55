import type { Outcomes } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import type { Code } from '#core/errors.ts'
import type { Journal } from '#core/journal.ts'
import type { Target } from '#core/servers.ts'
import type { BreakerSettings } from '#core/snapshot.ts'
import { breakerAdmits, type States } from '#core/states.ts'
import { ruleFor } from './rules.ts'

/** The longest time a breaker stays open, unless the configured one is longer. A closed breaker also forgets after this
 * time that it has been open. In milliseconds. */
const OPEN_MS_MAX = 300_000
const REMEMBERED_MS = 300_000
/** The time a breaker stays open varies at random by this share, up and down, so that targets that failed together do
 * not come back together. */
const JITTER = 0.1

/** The circuit breakers of all targets. */
export interface Breakers extends Outcomes {
  /** Decides whether an attempt may start. A half-open breaker admits one trial, which ends with `committed` or
   * `failed`. */
  admit(target: Target): boolean
  /** Counts a failed attempt; see `Outcomes`.
   *
   * @param isTrial Whether the attempt was the trial of a half-open breaker. Only the trial ends that state. */
  failed(target: Target, code: Code, isTrial?: boolean): void
  /** Counts that the first content has arrived: the target answers again. It does not end a series of streams that
   * broke off later. */
  committed(target: Target): void
}

/** Creates the breakers. Enough failures in a row open one, each time for longer. A half-open breaker admits one trial,
 * which closes it or opens it again. */
export function createBreakers(deps: {
  readonly states: States
  readonly clock: Clock
  readonly journal: Journal
  /** From 0 up to but not including 1. */
  readonly random: () => number
  readonly settings: () => BreakerSettings
}): Breakers {
  const { states, clock, journal } = deps

  function open(target: Target, reason: Code): void {
    const { breaker } = states.target(target)
    const { openMs } = deps.settings()
    const now = clock.now()
    const forgotten = breaker.openUntil === 0 && now - breaker.closedAt > REMEMBERED_MS
    breaker.openings = forgotten ? 1 : breaker.openings + 1
    const longest = Math.min(openMs * breaker.openings, Math.max(OPEN_MS_MAX, openMs))
    const ms = Math.round(longest * (1 - JITTER + 2 * JITTER * deps.random()))
    breaker.openedAt = now
    breaker.openUntil = now + ms
    journal.note({ type: 'breaker-opened', server: target.server.id, model: target.upstreamModel, reason, ms })
  }

  function committed(target: Target): void {
    const { breaker } = states.target(target)
    if (breaker.openUntil === 0) return
    breaker.openUntil = 0
    breaker.failures = 0
    breaker.trial = false
    breaker.closedAt = clock.now()
    journal.note({ type: 'breaker-closed', server: target.server.id, model: target.upstreamModel })
  }

  return {
    committed,
    admit(target) {
      const state = states.target(target)
      if (state.breaker.openUntil === 0) return true
      if (!breakerAdmits(state, clock.now())) return false
      state.breaker.trial = true
      return true
    },
    succeeded(target) {
      // A stream that began before the breaker opened says nothing about the target now.
      const { breaker } = states.target(target)
      if (breaker.openUntil === 0) breaker.failures = 0
    },
    failed(target, code, isTrial = false) {
      const { breaker } = states.target(target)
      if (isTrial) breaker.trial = false
      const { enabled, threshold } = deps.settings()
      if (!enabled || !ruleFor(code).breaks) return
      breaker.failures++
      if (breaker.openUntil === 0 ? breaker.failures >= threshold : isTrial) open(target, code)
    },
  }
}
