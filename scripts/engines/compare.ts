import { seeded } from '#tests/support/random.ts'
import { type FleetShape, type Result, simulate } from './simulate.ts'
import { conversationTrace, type Request, type TraceOptions, unrelatedTrace } from './trace.ts'

const REQUESTS = 2000
const CONVERSATIONS = 60
const MODELS = 6
/** As many requests as the turns of a round robin can bear: its servers are busy for about seven tenths of the time. */
const GAP_MS = 4000

/** The servers: 4, each with one model of 6 in memory. */
const FLEET: Omit<FleetShape, 'random'> = {
  servers: 4,
  models: MODELS,
  loadMs: 8000,
  msPerToken: 2,
  cached: 20,
  answerMs: 1000,
}

/** One trace, and what came of it under each strategy. */
export interface Comparison {
  readonly name: string
  readonly results: readonly Result[]
}

/** Compares the strategies on conversations and on unrelated prompts, over all models and with a single one, which every
 * server holds. The same seed gives the same numbers. */
export function compare(strategies: readonly string[], seed: number): readonly Comparison[] {
  const options: TraceOptions = {
    requests: REQUESTS,
    conversations: CONVERSATIONS,
    models: MODELS,
    gapMs: GAP_MS,
    random: seeded(seed),
  }
  const conversations = conversationTrace(options)
  const unrelated = unrelatedTrace(conversations, seeded(seed + 1))
  const single = (trace: readonly Request[]) => trace.map(request => ({ ...request, model: 'model-0' }))
  const run = (name: string, trace: readonly Request[], models: number) => ({
    name,
    results: strategies.map(strategy => simulate(strategy, trace, { ...FLEET, models, random: seeded(seed + 2) })),
  })
  return [
    run('60 conversations over 6 models', conversations, MODELS),
    run('unrelated prompts over 6 models', unrelated, MODELS),
    run('60 conversations, one model', single(conversations), 1),
    run('unrelated prompts, one model', single(unrelated), 1),
  ]
}
