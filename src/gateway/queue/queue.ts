import type { Candidate, Slot, Slots } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { isBounded } from '#core/places.ts'
import type { Scope } from '#core/scope.ts'
import type { Target } from '#core/servers.ts'
import { CallSlots, type SlotSource } from '../call-slots.ts'
import { chooseEvicted, createLine } from './line.ts'
import { createPace, type Pace } from './pace.ts'
import { countPlaces, createSlots, queueFull, queueTimeout } from './slots.ts'
import { inOrder, isUsable, isWantedByWaiter, patienceOf, type QueueDeps, type Wait, type Waiter } from './waiter.ts'

/** How many calls of one model may wait: this many for each place at its candidates, but always at least the minimum. */
const WAITING_PER_PLACE = 4
const WAITING_MIN = 100
/** How often waiting calls are checked although this process freed no place, in milliseconds: a server that was down may
 * be available again, and nothing tells the queue so. */
const LOOK_MS = 250
/** The delay to the next check after one that served a call, in milliseconds: that check sees what the call has changed,
 * such as that the one trial of a half-open breaker is under way. */
const LOOK_AGAIN_MS = 10
/** As `LOOK_MS`, where other processes call the same targets. Shorter, because nobody tells of the places that they free. */
const SHARED_LOOK_MS = 10

/** Hands out the places (concurrent calls) at targets, and holds the calls that find none free. */
export interface Queue {
  /** The places as one call sees them: `take` waits in the queue, `tryTake` never does. */
  slotsFor(wait: Wait): Slots
  /** How many calls of this process wait. */
  depth(): number
  /** Serves waiting calls after this process was granted so many places that it shares with other processes. */
  granted(count: number): void
}

/** Creates the queue.
 *
 * A call takes the first free place at any of its candidates. If there is none it waits for all of them at once, for at
 * most the longest `timeouts.queue` among them, and meanwhile for those that are out now. A place that comes free is given
 * to one waiting call immediately: the next in turn among those that can use it. `take` fails with `queue_full` (no room
 * to wait), `queue_timeout` (waited in vain), or the error that ended the call's scope. */
export function createQueue(deps: QueueDeps): Queue {
  return new FairQueue(deps)
}

class FairQueue implements Queue, SlotSource<Wait> {
  private readonly deps: QueueDeps
  private readonly pace: Pace
  private readonly slots: Slots
  private readonly line = createLine<Waiter>()
  private readonly lookMs: number
  private stopLooking: (() => void) | null = null
  /** The fraction of a place that other processes are still owed; at 1 a freed place is left to them. */
  private owedToOthers = 0
  /** Places that were left to other processes since the last check. */
  private yieldedSinceLook = 0

  constructor(deps: QueueDeps) {
    this.deps = deps
    this.lookMs = deps.places == null ? LOOK_MS : SHARED_LOOK_MS
    this.pace = createPace(deps.clock, deps.states)
    const observer = {
      taken: this.pace.taken,
      freed: (target: Target, takenAt: number) => {
        this.pace.freed(target, takenAt)
        if (this.line.size > 0 && !this.yieldsToOthers()) this.serveOne(target.server.id)
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

  take(
    candidates: readonly Candidate[],
    scope: Scope,
    wait: Wait,
    later: readonly Candidate[] = [],
  ): Slot | Promise<Slot> {
    const slot =
      this.line.size > 0 && isWantedByWaiter(this.line, candidates, this.deps) ? null : this.tryTake(candidates)
    return slot ?? this.waitFor(candidates, later, { wait, scope })
  }

  depth(): number {
    return this.line.size
  }

  granted(count: number): void {
    // One attempt more than was granted: it fails, and by failing asks the shared store for another place.
    this.serve(count + 1)
  }

  /** Gives free places to waiting calls: all of them, but no more than `count` of those that other processes may want,
   * and none after one at a half-open breaker, which takes a single trial call.
   *
   * @returns Whether at least one call was served. */
  private serve(count: number): boolean {
    const { places, states } = this.deps
    let served = false
    for (let left = count; left > 0 && this.line.size > 0; ) {
      const target = this.serveOne()
      if (target === null) break
      served = true
      if (states.target(target).breaker.openUntil !== 0) break
      if (places != null && isBounded(target)) left--
    }
    return served
  }

  /** Decides whether a place that came free is left to other processes. Each process gets freed places in proportion to
   * how many calls wait there. */
  private yieldsToOthers(): boolean {
    const own = this.line.size
    const others = this.deps.places?.waiting(own) ?? 0
    if (others <= 0) return false
    this.owedToOthers += others / (own + others)
    if (this.owedToOthers < 1) return false
    this.owedToOthers--
    // They may wait for other targets only. Check again after every process has had its check, so that a place that
    // nobody took is not idle for longer than that.
    if (this.yieldedSinceLook++ > 0) return true
    this.stopLooking?.()
    this.stopLooking = null
    this.scheduleLook(2 * this.lookMs)
    return true
  }

  /** Gives a free place to the next call in turn that can use it; rejects calls whose deadline has passed.
   *
   * @param server Where a place has come free; everywhere is looked for one when absent.
   * @returns Where the place is; `null` when no call was served. */
  private serveOne(server?: string): Target | null {
    const isFree = (waiter: Waiter) => (candidate: Candidate) => isUsable(waiter, candidate, this.deps, server)
    const fits = (waiter: Waiter) => waiter.candidates.some(isFree(waiter))
    for (let waiter = this.line.next(fits); waiter !== null; waiter = this.line.next(fits)) {
      // The deadline's timer may be late when the process is busy: do not dial for a call that is already over.
      if (waiter.scope.endsAt <= this.deps.clock.now()) {
        this.removeServed(waiter)
        waiter.reject(new GatewayError('deadline_exceeded', 'The request took longer than the time allowed for it.'))
        continue
      }
      const slot = this.slots.tryTake(waiter.candidates.filter(isFree(waiter)))
      // Another process took the place first: this call stays next in turn.
      if (slot === null) return null
      this.removeServed(waiter)
      waiter.resolve(slot)
      return slot.candidate.target
    }
    return null
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

  /** Tells other processes how many calls wait here, and stops the checks when none does. */
  private noteDepth(): void {
    this.deps.places?.waiting(this.line.size)
    if (this.line.size > 0) return
    this.stopLooking?.()
    this.stopLooking = null
    this.yieldedSinceLook = 0
  }

  private async waitFor(
    open: readonly Candidate[],
    later: readonly Candidate[],
    { wait, scope }: { readonly wait: Wait; readonly scope: Scope },
  ): Promise<Slot> {
    const candidates = inOrder(open, later)
    const [first] = candidates
    const { waitedMs = 0 } = wait
    const patience = Math.max(0, patienceOf(open, later) - waitedMs)
    const late = patience + waitedMs > 0 ? queueTimeout : queueFull
    const longest = Math.max(patience, this.deps.places?.answersIn ?? 0)
    if (scope.ended !== null) throw scope.ended
    if (first === undefined || longest === 0) throw late(this.pace.untilFree(open, this.line.size))
    const model = first.model.name
    this.ensureRoom(wait, open, model)
    const { clock, available } = this.deps
    const since = clock.now()
    const { promise, resolve, reject } = Promise.withResolvers<Slot>()
    const unavailableAtStart = new Set(open.filter(({ target }) => !available(target)))
    const failedOnly = new Set(later.filter(({ target }) => available(target)))
    // Called before the promise settles: a client that leaves is recorded in the same turn, and nobody awaits it later.
    const ended = () => wait.waited(clock.now() - since)
    const waiter: Waiter = {
      ...{ caller: wait.caller, priority: wait.priority, candidates, scope, model },
      ...{ unavailableAtStart, later, failedOnly },
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
    const disarm = clock.after(longest, () => this.leave(waiter, () => late(this.pace.untilFree(open, this.line.size))))
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

  /** Makes sure that one more call of this model may wait, if need be by refusing one that waits already.
   *
   * @throws GatewayError `queue_full` when the queue is full and no waiting call is evicted for this one. */
  private ensureRoom(wait: Wait, candidates: readonly Candidate[], model: string): void {
    const waiting = [...this.line].filter(waiter => waiter.model === model)
    if (waiting.length < Math.max(WAITING_MIN, WAITING_PER_PLACE * countPlaces(candidates))) return
    const refusal = () => queueFull(this.pace.untilFree(candidates, waiting.length))
    const evicted = chooseEvicted(waiting, wait)
    if (evicted === null) throw refusal()
    this.leave(evicted, refusal)
  }
}
