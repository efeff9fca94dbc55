import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import type { States, Target } from '#core/servers.ts'
import { createLine, type Waiting, whoYields } from './line.ts'
import { createPace } from './pace.ts'
import { countPlaces, createSlots, hasPlace, queueFull } from './slots.ts'

/** Calls of one model that may wait for each place that there is, and how many may wait in any case. */
const WAITING_PER_PLACE = 4
const WAITING_MIN = 100
/** How often those who wait are looked at although no place came free, in milliseconds: a server may be back. */
const LOOK_MS = 250
/** How soon after one was let in so, in milliseconds: the next sees what the first has changed. A target that is back
 * on trial takes one call only. */
const NEXT_MS = 10

/** For whom a place is wanted. */
export interface Wait extends Waiting {
  /** Told once for each wait, however it ended. */
  waited(ms: number): void
}

/** The places of this process, and the one line for those who find none free. */
export interface Queue {
  /** The places as one call sees them: `take` waits in the line, `tryTake` never does. */
  slotsFor(wait: Wait): Slots
  /** How many wait. */
  depth(): number
}

interface Waiter extends Waiting {
  readonly candidates: readonly Candidate[]
  /** What was out of order when the wait began, and was to be tried all the same. */
  readonly doubted: ReadonlySet<Candidate>
  readonly scope: Scope
  /** The model whose line is bounded. */
  readonly model: string
  readonly resolve: (slot: Slot) => void
  readonly reject: (error: GatewayError) => void
}

/** Creates the queue.
 *
 * A call takes the first free place at any of its candidates; without one it waits for all of them at once, no longer
 * than their `timeouts.queue`. A place that comes free goes to one waiter at once, the one whose turn it is among
 * those who can use it.
 *
 * @param deps.available Whether a target may be tried now. */
export function createQueue(deps: {
  readonly states: States
  readonly clock: Clock
  readonly available: (target: Target) => boolean
}): Queue {
  const { states, clock, available } = deps
  const pace = createPace(clock)
  const line = createLine<Waiter>()
  let stopLooking: (() => void) | null = null
  const slots = createSlots(states, {
    taken: pace.taken,
    freed(target, takenAt) {
      pace.freed(target, takenAt)
      if (line.size > 0) serveOne()
    },
  })

  const usable = (waiter: Waiter) => (candidate: Candidate) =>
    hasPlace(states, candidate.target) && (waiter.doubted.has(candidate) || available(candidate.target))
  const fits = (waiter: Waiter) => waiter.candidates.some(usable(waiter))

  /** Gives a free place to the one whose turn it is; whether there was one. */
  function serveOne(): boolean {
    for (let waiter = line.next(fits); waiter !== null; waiter = line.next(fits)) {
      if (line.size === 0) rest()
      // A deadline that has passed unnoticed, because the process was busy: what would be dialled is not wanted.
      if (waiter.scope.endsAt <= clock.now()) {
        waiter.reject(new GatewayError('deadline_exceeded', 'The request took longer than the time allowed for it.'))
        continue
      }
      const slot = slots.tryTake(waiter.candidates.filter(usable(waiter)))
      if (slot !== null) waiter.resolve(slot)
      return true
    }
    return false
  }

  function look(): void {
    stopLooking = null
    const served = serveOne()
    if (line.size > 0) stopLooking = clock.after(served ? NEXT_MS : LOOK_MS, look)
  }

  function rest(): void {
    stopLooking?.()
    stopLooking = null
  }

  function makeRoom(wait: Wait, candidates: readonly Candidate[], model: string): void {
    const waiting = [...line].filter(waiter => waiter.model === model)
    if (waiting.length < Math.max(WAITING_MIN, WAITING_PER_PLACE * countPlaces(candidates))) return
    const refusal = () => queueFull(pace.untilFree(candidates, waiting.length))
    const yielding = whoYields(waiting, wait)
    if (yielding === null) throw refusal()
    line.remove(yielding)
    yielding.reject(refusal())
  }

  async function waitFor(candidates: readonly Candidate[], wait: Wait, scope: Scope): Promise<Slot> {
    const [first] = candidates
    const longest = Math.max(0, ...candidates.map(({ target }) => target.timeouts.queue))
    if (first === undefined || longest === 0) throw queueFull(pace.untilFree(candidates, line.size))
    if (scope.ended !== null) throw scope.ended
    const model = first.model.name
    makeRoom(wait, candidates, model)
    const since = clock.now()
    const { promise, resolve, reject } = Promise.withResolvers<Slot>()
    const doubted = new Set(candidates.filter(({ target }) => !available(target)))
    const { caller, priority } = wait
    const waiter: Waiter = { caller, priority, candidates, doubted, scope, model, resolve, reject }
    line.add(waiter)
    stopLooking ??= clock.after(LOOK_MS, look)
    const leave = (cause: () => GatewayError) => {
      if (!line.remove(waiter)) return
      reject(cause())
      if (line.size === 0) rest()
    }
    const disarm = clock.after(longest, () => leave(() => queueTimeout(pace.untilFree(candidates, line.size))))
    const stop = scope.onEnd(cause => leave(() => cause))
    try {
      const slot = await promise
      if (scope.ended === null) return slot
      slot.release()
      throw scope.ended
    } finally {
      disarm()
      stop()
      wait.waited(clock.now() - since)
    }
  }

  return {
    slotsFor: wait => ({
      tryTake: slots.tryTake,
      take: (candidates, scope) => slots.tryTake(candidates) ?? waitFor(candidates, wait, scope),
    }),
    depth: () => line.size,
  }
}

function queueTimeout(retryAfterMs: number): GatewayError {
  return new GatewayError('queue_timeout', 'No model server became free in time; try again later.', { retryAfterMs })
}
