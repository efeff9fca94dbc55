import type { Bypass } from './bypass.ts'
import type { Call } from './call.ts'
import type { Code, GatewayError } from './errors.ts'
import type { Frame } from './frame.ts'
import type { Scope } from './scope.ts'
import type { Model, Target } from './servers.ts'
import type { Usage } from './usage.ts'

/** A target that may serve a call, and why it stands where it does. */
export interface Candidate {
  readonly target: Target
  readonly model: Model
  readonly reason: string
  /** Whether it answers with a model other than those that were asked for. */
  readonly fallback?: boolean
  /** Whether it is tried although it seems to be down, because nothing better is left. */
  readonly doubted?: boolean
}

/** Candidates in the order in which they are tried. */
export interface Plan {
  /** The model of the first candidate, as the caller knows it. */
  readonly model: Model
  readonly strategy: string
  readonly candidates: readonly Candidate[]
  /** Targets that were out when the call came, in the same order: it may last until they are back. Absent when none was. */
  readonly later?: readonly Candidate[]
  /** Targets that cannot do what the call asks, with the reason; absent when none is known to be so. */
  readonly excluded?: readonly Candidate[]
  /** Whether the strategy learns from how the attempts go. */
  readonly observed?: boolean
  /** Whether the first candidate has the model in memory while another one would have to load it. */
  readonly sparesLoad?: boolean
}

/** The first candidate of a plan for which this holds, also among those that were out when the call came. */
export function findCandidate({ candidates, later }: Plan, holds: (candidate: Candidate) => boolean): Candidate | null {
  return candidates.find(holds) ?? later?.find(holds) ?? null
}

/** A place at a target; `release` may be called more than once. */
export interface Slot {
  readonly candidate: Candidate
  release(): void
}

/** Hands out places at targets. */
export interface Slots {
  /** A place at the first candidate that has one free.
   *
   * @param later Candidates that are out now: a call that has to wait gets a place there, too, once they are back.
   * @throws GatewayError `queue_full` when none has. */
  take(candidates: readonly Candidate[], scope: Scope, later?: readonly Candidate[]): Promise<Slot> | Slot
  /** A place at once, or nothing. */
  tryTake(candidates: readonly Candidate[]): Slot | null
}

/** An answer that is under way. */
export interface Live {
  readonly target: Target
  readonly model: Model
  /** The next frames in order, as many as arrived together; an empty list after the last one.
   *
   * @throws GatewayError when the answer broke off. */
  next(): Promise<readonly Frame[]>
  /** Gives events that are like those before them to `to` while somebody waits in `next`, whose frames then come behind
   * them; `null` ends that. Absent where every event has to be looked at. */
  bypass?(to: Bypass | null): void
  /** Stops the work upstream and frees its place; safe to call at any time, any number of times. */
  close(): void
  /** Where several read the same frames: their bytes as they are written, which the first of them fills in. */
  readonly encoded?: WeakMap<readonly Frame[], Uint8Array> | undefined
}

/** What a failed attempt had delivered, for the one that goes on from there. */
export interface Delivered {
  readonly text: string
}

/** One try at one target. Resolves when the answer is committed: its first content is there. */
export type Attempt = (attempt: {
  readonly call: Call
  readonly slot: Slot
  readonly scope: Scope
  /** The credential to use; the server's first one when absent. */
  readonly secret?: string | null
  readonly delivered?: Delivered
  /** Who counts what is asked for one call, and writes down that it was refused once; nobody when absent. */
  readonly again?: { takeOne(refusal: GatewayError): boolean }
  /** Whether an answer of which a content filter has left nothing is refused, because another model may give one. */
  readonly wantsContent?: boolean
}) => Promise<Live>

/** Wraps the attempts at one target. */
export type Policy = (next: Attempt) => Attempt

/** The attempts of one call: one budget and one memory of failures over all its targets. */
export interface Run {
  /** The next committed answer. Called again after an answer broke off, it goes on with what is left to try.
   *
   * @throws GatewayError when nothing is left, with every attempt. */
  next(): Promise<Live>
}

/** Chooses among targets and decides what follows a failure. */
export type Router = (attempt: Attempt) => (call: Call, plan: Plan, scope: Scope, trail: Trail) => Run

/** Told how the targets do, so that one that keeps failing is left alone. Told of a stream: when it is whole, or has
 * broken off; that it was committed is no success yet. */
export interface Outcomes {
  /** The target gave a whole answer. */
  succeeded(target: Target): void
  /** An attempt failed; codes that say nothing against the target do not count. */
  failed(target: Target, code: Code): void
}

/** Collects what each attempt did, in order. */
export interface Trail {
  begin(candidate: Candidate): AttemptEntry
}

/** One attempt as it is being recorded. */
export interface AttemptEntry {
  readonly server: string
  readonly model: string
  readonly startedAt: number
  ms: number
  /** `lost`: another attempt of the call was quicker. */
  result: Code | 'ok' | 'lost' | null
  /** The private story of a failure, for the log. */
  cause: unknown
  /** The caller's parameters that this server's dialect left out; absent when none. */
  dropped?: readonly string[]
  /** What it used although the answer came from another one: the operator's cost. */
  usage?: Usage
}
