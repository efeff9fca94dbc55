import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import { CallSlots, type SlotSource } from '../call-slots.ts'
import { chooseEvicted, createLine, type Waiting } from './line.ts'
import { createPace, type Pace } from './pace.ts'
import { countPlaces, createSlots, queueFull } from './slots.ts'
import { isUsable, isWantedByWaiter, type QueueDeps, type Waiter } from './waiter.ts'

/** Calls of one model that may wait for each place that there is, and how many may wait in any case. */
const WAITING_PER_PLACE = 4
const WAITING_MIN = 100
/** How often those who wait are looked at although no place came free, in milliseconds: a server may be back. */
const LOOK_MS = 250
/** How soon after one was let in so, in milliseconds: the next sees what the first has changed. A target that is back
 * on trial takes one call only. */
const LOOK_AGAIN_MS = 10
/** How often those who wait are looked at where other processes call the same targets: nobody says that one of those has
 * given a place back. */
const SHARED_LOOK_MS = 10

/** For whom a place is wanted. */
export interface Wait extends Waiting {
  /** Told once for each wait as it ends, however it does. */
  waited(ms: number): void
}

/** The places of this process, and the one line for those who find none free. */
export interface Queue {
  /** The places as one call sees them: `take` waits in the line, `tryTake` never does. */
  slotsFor(wait: Wait): Slots
  /** How many wait. */
  depth(): number
  /** Gives places that this process has got to those who wait. */
  granted(count: number): void
}

/** Creates the queue.
 *
 * A call takes the first free place at any of its candidates; without one it waits for all of them at once, no longer
 * than their `timeouts.queue`. A place that comes free goes to one waiter at once, the one whose turn it is among
 * those who can use it. */
export function createQueue(deps: QueueDeps): Queue {
  const queue = new FairQueue(deps)
  return {
    slotsFor: wait => queue.slotsFor(wait),
    depth: () => queue.depth(),
    granted: count => queue.granted(count),
  }
}

class FairQueue implements SlotSource<Wait> {
  private readonly deps: QueueDeps
  private readonly pace: Pace
  private readonly slots: Slots
  private readonly line = createLine<Waiter>()
  private readonly lookMs: number
  private stopLooking: (() => void) | null = null
  /** The part of a place that is owed to those who wait in other processes. */
  private owedToOthers = 0
  /** Places that were left to them since the last look. */
  private yieldedSinceLook = 0

  constructor(deps: QueueDeps) {
    this.deps = deps
    this.lookMs = deps.places == null ? LOOK_MS : SHARED_LOOK_MS
    this.pace = createPace(deps.clock, deps.states)
    const observer = {
      taken: this.pace.taken,
      freed: (target: Target, takenAt: number) => {
        this.pace.freed(target, takenAt)
        if (this.line.size > 0 && !this.yieldsToOthers()) this.serveOne()
      },
    }
    this.slots = createSlots(deps.states, observer, deps.places, deps.newest)
  }

  slotsFor(wait: Wait): Slots {
    return new CallSlots(this, wait)
  }

  tryTake(candidates: readonly Candidate[]): Slot | null {
    return this.slots.tryTake(candidates)
  }

  take(candidates: readonly Candidate[], scope: Scope, wait: Wait): Slot | Promise<Slot> {
    const slot =
      this.line.size > 0 && isWantedByWaiter(this.line, candidates, this.deps) ? null : this.tryTake(candidates)
    return slot ?? this.waitFor(candidates, wait, scope)
  }

  depth(): number {
    return this.line.size
  }

  granted(count: number): void {
    // The one that is too many asks for the next.
    this.serve(count + 1)
  }

  /** Gives up to so many free places to those who wait; whether there was one. */
  private serve(count: number): boolean {
    let served = 0
    while (served < count && this.line.size > 0 && this.serveOne()) served++
    return served > 0
  }

  /** Whether a place that came free is left to those who wait in other processes: of several in a row their share. */
  private yieldsToOthers(): boolean {
    const own = this.line.size
    const others = this.deps.places?.waiting(own) ?? 0
    if (others <= 0) return false
    this.owedToOthers += others / (own + others)
    if (this.owedToOthers < 1) return false
    this.owedToOthers--
    // They may wait for other targets: what none of them took is found when all have looked, and no later.
    if (this.yieldedSinceLook++ > 0) return true
    this.stopLooking?.()
    this.stopLooking = null
    this.scheduleLook(2 * this.lookMs)
    return true
  }

  /** Gives a free place to the one whose turn it is; whether there was one. */
  private serveOne(): boolean {
    const fits = (waiter: Waiter) => waiter.candidates.some(candidate => isUsable(waiter, candidate, this.deps))
    for (let waiter = this.line.next(fits); waiter !== null; waiter = this.line.next(fits)) {
      // A deadline that has passed unnoticed, because the process was busy: what would be dialled is not wanted.
      if (waiter.scope.endsAt <= this.deps.clock.now()) {
        this.removeServed(waiter)
        waiter.reject(new GatewayError('deadline_exceeded', 'The request took longer than the time allowed for it.'))
        continue
      }
      const slot = this.slots.tryTake(waiter.candidates.filter(candidate => isUsable(waiter, candidate, this.deps)))
      // Another process was quicker: it stays whose turn it is.
      if (slot === null) return false
      this.removeServed(waiter)
      waiter.resolve(slot)
      return true
    }
    return false
  }

  private removeServed(waiter: Waiter): void {
    this.line.serve(waiter)
    this.noteDepth()
  }

  private scheduleLook(ms: number): void {
    this.stopLooking ??= this.deps.clock.after(ms, () => {
      this.stopLooking = null
      const served = this.serve(Math.max(1, this.yieldedSinceLook))
      this.yieldedSinceLook = 0
      if (this.line.size > 0) this.scheduleLook(served ? LOOK_AGAIN_MS : this.lookMs)
    })
  }

  private noteDepth(): void {
    this.deps.places?.waiting(this.line.size)
    if (this.line.size > 0) return
    this.stopLooking?.()
    this.stopLooking = null
    this.yieldedSinceLook = 0
  }

  private async waitFor(candidates: readonly Candidate[], wait: Wait, scope: Scope): Promise<Slot> {
    const [first] = candidates
    const patience = Math.max(0, ...candidates.map(({ target }) => target.timeouts.queue))
    const longest = Math.max(patience, this.deps.places?.answersIn ?? 0)
    if (scope.ended !== null) throw scope.ended
    if (first === undefined || longest === 0) throw queueFull(this.pace.untilFree(candidates, this.line.size))
    const model = first.model.name
    this.ensureRoom(wait, candidates, model)
    const { clock, available } = this.deps
    const since = clock.now()
    const { promise, resolve, reject } = Promise.withResolvers<Slot>()
    const unavailableAtStart = new Set(candidates.filter(({ target }) => !available(target)))
    const { caller, priority } = wait
    // Told in the same turn: who leaves is written down before he would hear of it.
    const ended = () => wait.waited(clock.now() - since)
    const waiter: Waiter = {
      ...{ caller, priority, candidates, unavailableAtStart, scope, model },
      resolve(slot) {
        ended()
        resolve(slot)
      },
      reject(error) {
        ended()
        reject(error)
      },
    }
    this.line.add(waiter)
    this.deps.places?.waiting(this.line.size)
    this.scheduleLook(this.lookMs)
    const late = patience > 0 ? queueTimeout : queueFull
    const disarm = clock.after(longest, () =>
      this.leave(waiter, () => late(this.pace.untilFree(candidates, this.line.size))),
    )
    const stop = scope.onEnd(cause => this.leave(waiter, () => cause))
    try {
      const slot = await promise
      if (scope.ended === null) return slot
      slot.release()
      throw scope.ended
    } finally {
      disarm()
      stop()
    }
  }

  private leave(waiter: Waiter, cause: () => GatewayError): void {
    if (!this.line.remove(waiter)) return
    waiter.reject(cause())
    this.noteDepth()
  }

  /** Makes sure that one more may wait.
   *
   * @throws GatewayError `queue_full` when nobody gives way. */
  private ensureRoom(wait: Wait, candidates: readonly Candidate[], model: string): void {
    const waiting = [...this.line].filter(waiter => waiter.model === model)
    if (waiting.length < Math.max(WAITING_MIN, WAITING_PER_PLACE * countPlaces(candidates))) return
    const refusal = () => queueFull(this.pace.untilFree(candidates, waiting.length))
    const evicted = chooseEvicted(waiting, wait)
    if (evicted === null) throw refusal()
    this.leave(evicted, refusal)
  }
}

function queueTimeout(retryAfterMs: number): GatewayError {
  return new GatewayError('queue_timeout', 'No model server became free in time; try again later.', { retryAfterMs })
}
