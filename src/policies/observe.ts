import { addAtLeast, addSample, averageFor } from '#core/average.ts'
import { expectLoad, forgetLoad, noteLoaded } from '#core/residence.ts'
import type { FailoverDeps } from './deps.ts'
import type { RunningAttempt } from './running-attempt.ts'

type Deps = Pick<FailoverDeps, 'states' | 'clock' | 'journal'>

/** What strategies learn from attempts: how long targets take, and which models servers have in memory. Called only for
 * plans whose strategy asks for it. */
export function observeStart({ states }: Deps, { slot }: RunningAttempt): void {
  const { target } = slot.candidate
  expectLoad(states.target(target).server, target.upstreamModel)
}

/** The attempt gave the answer. */
export function observeAnswer({ states, clock, journal }: Deps, { slot, call, entry }: RunningAttempt): void {
  const { target } = slot.candidate
  const state = states.target(target)
  addSample(averageFor(state, call.stream), entry.ms, clock.now())
  if (!noteLoaded(state.server, target.upstreamModel)) return
  journal.note({ type: 'model-loaded', server: target.server.id, model: target.upstreamModel })
}

/** The attempt failed, or was not waited for: a target that fails at once must not seem to be quick. */
export function observeFailure({ states, clock }: Deps, { slot, call, entry }: RunningAttempt): void {
  const { target } = slot.candidate
  const state = states.target(target)
  addAtLeast(averageFor(state, call.stream), entry.ms, clock.now())
  forgetLoad(state.server, target.upstreamModel)
}
