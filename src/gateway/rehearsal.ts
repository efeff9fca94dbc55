import type { Candidate, Plan } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import { ERRORS, GatewayError } from '#core/errors.ts'
import { USUAL_PRIORITY } from '#core/priority.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { hasPlace, type ServerState, type States, type TargetState } from '#core/states.ts'
import { othersTurn } from '#lib/turn.ts'
import type { Explanation } from '#routing/explain.ts'
import type { PlanWishes } from '#routing/plan.ts'
import type { ExplainRequest, Workload } from '#wire/routing.ts'
import { toReport } from './management/explain.ts'
import { parseCall } from './parse.ts'

/** What a rehearsal needs. */
export interface RehearsalDeps {
  readonly snapshot: () => Snapshot
  readonly states: States
  readonly explain: (call: Call, snapshot: Snapshot, wishes: PlanWishes) => Explanation
  /** Makes a planner without side effects, whose plans take turns as those of calls would. */
  readonly planner: (states: States) => (call: Call, snapshot: Snapshot, wishes: PlanWishes) => Plan
}

/** Answers what would happen to calls; no server is called. */
export interface Rehearsal {
  /** Where a request would go, and why.
   *
   * @throws GatewayError `invalid_json` or `invalid_request` for a body that would not be accepted. */
  explain(caller: Caller, asked: ExplainRequest): object
  /** How a number of simultaneous requests would be spread over the servers, and why. */
  distribute(caller: Caller, workload: Workload): Promise<object>
}

/** The text that stands for one token of a described prompt. */
const TOKEN = 'word'

/** Creates the rehearsal. */
export function createRehearsal(deps: RehearsalDeps): Rehearsal {
  return {
    explain(caller, { endpoint, request, server, strategy }) {
      const call = parseCall(endpoint, JSON.stringify(request), { caller, ...ANYHOW })
      return { object: 'plan', ...report(deps.explain(call, deps.snapshot(), { server, strategy }), deps.states) }
    },
    async distribute(caller, workload) {
      const snapshot = deps.snapshot()
      const wishes = { server: null, strategy: workload.strategy }
      const callAt = describedCalls(caller, workload)
      const explanation = deps.explain(callAt(0), snapshot, wishes)
      const { counts, waiting } =
        explanation.plan === null ? NOBODY : await spread(deps, snapshot, { workload, callAt, wishes })
      const inOrder = {
        ...explanation,
        candidates: preferring(workload, explanation.candidates, each => each.candidate),
      }
      const { candidates, ...rest } = report(inOrder, deps.states)
      return {
        object: 'distribution',
        request_id: workload.request_id,
        ...rest,
        requests: workload.requests,
        waiting,
        candidates: candidates.map(({ id, ...candidate }) => {
          const requests = counts.get(id) ?? 0
          return { ...candidate, requests, share: requests / workload.requests }
        }),
      }
    },
  }
}

const ANYHOW = { priority: USUAL_PRIORITY, traceparent: null } as const
const NOBODY = { counts: new Map<string, number>(), waiting: 0 }

/** How many requests are planned before other work has its turn: real calls go on meanwhile. */
const AT_A_TIME = 16

/** Gives one request after the other a place; no place is freed meanwhile. */
async function spread(
  deps: RehearsalDeps,
  snapshot: Snapshot,
  from: { readonly workload: Workload; readonly callAt: (index: number) => Call; readonly wishes: PlanWishes },
) {
  const states = shadowOf(deps.states)
  const planned = deps.planner(states)
  const counts = new Map<string, number>()
  let waiting = 0
  for (let index = 0; index < from.workload.requests; index++) {
    if (index % AT_A_TIME === 0) await othersTurn()
    const candidates = unlessRefused(() => planned(from.callAt(index), snapshot, from.wishes).candidates)
    const ordered = preferring(from.workload, candidates, candidate => candidate)
    const free = ordered.find(({ target }) => hasPlace(states, target))
    if (free === undefined) {
      waiting++
      continue
    }
    const state = states.target(free.target)
    state.inFlight++
    state.server.inFlight++
    counts.set(free.target.id, (counts.get(free.target.id) ?? 0) + 1)
  }
  return { counts, waiting }
}

/** The candidates of one more call; none where it would be refused, as by servers that seem to be down: each of them gets
 * only a few calls at a time. */
function unlessRefused(plan: () => readonly Candidate[]): readonly Candidate[] {
  try {
    return plan()
  } catch (thrown) {
    if (thrown instanceof GatewayError) return []
    throw thrown
  }
}

/** Puts the candidates on preferred servers first, in the order of the preference; other models stay behind. */
function preferring<T>(
  { preferred_servers: preferred }: Workload,
  all: readonly T[],
  candidateOf: (each: T) => Candidate,
): readonly T[] {
  const [first] = all
  if (preferred.length === 0 || first === undefined) return all
  const { name } = candidateOf(first).model
  const place = (each: T) => {
    const { model, target } = candidateOf(each)
    if (model.name !== name) return preferred.length + 1
    const at = preferred.indexOf(target.server.id)
    return at < 0 ? preferred.length : at
  }
  return all.toSorted((one, other) => place(one) - place(other))
}

/** Copies the states, so that planning may change them. */
function shadowOf(states: States): States {
  const targets = new Map<string, TargetState>()
  const servers = new Map<string, ServerState>()
  const server = (id: string) => {
    const copy = servers.get(id) ?? { ...states.server(id) }
    servers.set(id, copy)
    return copy
  }
  return {
    server,
    target(target) {
      const copy = targets.get(target.id) ?? { ...states.target(target), server: server(target.server.id) }
      targets.set(target.id, copy)
      return copy
    },
  }
}

/** Makes the calls of a workload: their prompts have the described length, and no two begin alike. */
function describedCalls(caller: Caller, workload: Workload): (index: number) => Call {
  const filler = TOKEN.repeat(workload.prompt_tokens)
  const image = { type: 'image_url', image_url: { url: 'data:image/png;base64,' } }
  const tools = workload.tools ? [{ type: 'function', function: { name: 'tool' } }] : undefined
  return index => {
    const text = `${index} ${filler}`
    const content = workload.images ? [{ type: 'text', text }, image] : text
    const prompt = {
      chat: { messages: [{ role: 'user', content }] },
      completions: { prompt: text },
      embeddings: { input: text },
    }[workload.endpoint]
    return {
      endpoint: workload.endpoint,
      model: workload.model ?? workload.model_required,
      body: { ...prompt, max_tokens: workload.max_tokens, ...(tools !== undefined && { tools }) },
      source: null,
      stream: workload.stream,
      wantsUsage: false,
      fallbacks: [],
      caller,
      ...ANYHOW,
    }
  }
}

function report({ plan, measure, candidates, excluded, refusal }: Explanation, states: States) {
  return {
    model: plan?.model.name ?? null,
    strategy: plan?.strategy ?? null,
    measure,
    candidates: candidates.map(({ candidate, score }) => ({
      id: candidate.target.id,
      ...toReport(candidate),
      score,
      status: states.server(candidate.target.server.id).health,
      in_flight: states.target(candidate.target).inFlight,
    })),
    excluded: excluded.map(toReport),
    refusal: refusal && { status: ERRORS[refusal.code].status, code: refusal.code, message: refusal.message },
  }
}
