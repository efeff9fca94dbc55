import { z } from 'zod'

const endpoint = z.enum(['chat', 'completions', 'embeddings'])
const strategy = z.string().max(64).nullable().default(null).describe('A strategy instead of the configured one.')

const TOKENS_MAX = 1_000_000
const REQUESTS_MAX = 10_000
const SERVERS_MAX = 1000

/** The body of `POST /management/route/explain`. */
export const explainRequest = z
  .strictObject({
    endpoint: endpoint.default('chat').describe('The endpoint that the request would be sent to.'),
    request: z.looseObject({}).describe('The body of the request.'),
    server: z.string().max(256).nullable().default(null).describe('The only server that may answer.'),
    strategy,
  })
  .describe('A request that is not sent.')
export type ExplainRequest = z.output<typeof explainRequest>

/** The body of `POST /orchestration/workload/distribute`. */
export const workload = z
  .strictObject({
    model: z.string().max(256).nullable().default(null).describe('The model; null lets the gateway choose.'),
    endpoint: endpoint.default('chat').describe('The endpoint that they would be sent to.'),
    requests: z.int().min(1).max(REQUESTS_MAX).default(1).describe('How many come at once.'),
    prompt_tokens: z.int().min(0).max(TOKENS_MAX).default(500).describe('Tokens of each prompt.'),
    max_tokens: z.int().min(1).max(TOKENS_MAX).default(500).describe('Tokens of each answer.'),
    stream: z.boolean().default(true).describe('Whether they ask for streams.'),
    tools: z.boolean().default(false).describe('Whether they bring tools.'),
    images: z.boolean().default(false).describe('Whether they bring images.'),
    preferred_servers: z
      .array(z.string().max(256))
      .max(SERVERS_MAX)
      .default([])
      .describe('Ids of servers that get them first, in this order, as long as they have a place.'),
    strategy,
    model_required: z
      .string()
      .max(256)
      .nullable()
      .default(null)
      .describe('`model` under the name that other planners have for it; `model` wins.'),
    request_id: z.string().max(256).nullable().default(null).describe('Comes back in the answer.'),
    priority: z
      .enum(['low', 'normal', 'high', 'critical'])
      .nullable()
      .default(null)
      .describe('Who waits first is decided when the requests come: it changes nothing here.'),
    estimated_complexity: z
      .union([z.number(), z.string().max(256)])
      .nullable()
      .default(null)
      .describe('The numbers of tokens say it better: it changes nothing here.'),
    client_info: z.looseObject({}).nullable().default(null).describe('For those who sent it; it changes nothing here.'),
  })
  .describe('Requests that are not sent.')
export type Workload = z.output<typeof workload>

const named = {
  server: z.string().describe('The id of the server.'),
  model: z.string().describe('The public name of the model.'),
  upstream_model: z.string().describe('What the server calls it.'),
  reason: z.string().describe('Why it is among them, or why not.'),
}

const candidate = z.object({
  ...named,
  score: z.number().nullable().describe('What the strategy ranks by, lowest first; null where it knows none.'),
  status: z.enum(['unknown', 'healthy', 'degraded', 'unhealthy']).describe('The health of the server.'),
  in_flight: z.int().describe('Calls of this model at the server now.'),
})

const outlook = {
  model: z.string().nullable().describe('The public name of the model that would answer; null when none would.'),
  strategy: z.string().nullable().describe('How the order was chosen.'),
  measure: z.string().nullable().describe('What the scores count, or by what the order goes without them.'),
  excluded: z.array(z.object(named)).describe('Targets that would not be asked.'),
  refusal: z
    .object({ status: z.int(), code: z.string(), message: z.string() })
    .nullable()
    .describe('What the caller would be told when nobody can answer.'),
}

/** The answer of `POST /management/route/explain`. */
export const routePlan = z
  .object({
    object: z.literal('plan'),
    ...outlook,
    candidates: z.array(candidate).describe('The targets in the order in which they would be tried.'),
  })
  .meta({ id: 'RoutePlan', description: 'Where a request would go, and why.' })

/** The answer of `POST /orchestration/workload/distribute`. */
export const distribution = z
  .object({
    object: z.literal('distribution'),
    request_id: z.string().nullable().describe('As the workload has it.'),
    ...outlook,
    requests: z.int().describe('How many requests were spread.'),
    waiting: z.int().describe('Those for which no place would be free; where no server is up, they would be refused.'),
    candidates: z
      .array(
        candidate.extend({
          requests: z.int().describe('How many of them this target would get.'),
          share: z.number().describe('The same as a share, from 0 to 1.'),
        }),
      )
      .describe('The targets in the order in which the first request would try them.'),
  })
  .meta({ id: 'Distribution', description: 'How a workload would be spread, and why.' })
