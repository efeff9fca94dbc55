import { z } from 'zod'

const ms = (description: string) => z.number().nullable().describe(`${description}, in milliseconds since it came.`)

const candidate = z
  .object({
    server: z.string().describe('The id of the server.'),
    model: z.string().describe('The public name of the model.'),
    upstream_model: z.string().describe('What the server calls it.'),
    reason: z.string().meta({ description: 'Why it may serve the call.', examples: ['target of chat'] }),
  })
  .meta({ id: 'RequestCandidate', description: 'A server that could answer, in the order in which they are tried.' })

const skipped = z
  .object({
    model: z.string().describe('The public name of the model, or what the call named as a fallback.'),
    code: z.string().meta({ description: 'The code of the refusal.', examples: ['rate_limit_exceeded'] }),
  })
  .meta({ id: 'RequestSkip', description: 'A model that was refused, so that another one was asked.' })

const attempt = z
  .object({
    server: z.string().describe('The id of the server that was asked.'),
    upstream_model: z.string().describe('The model that it was asked for.'),
    started_ms: z.number().describe('When it began, in milliseconds since the request came.'),
    ms: z.number().describe('How long it took until its answer began, or until it failed.'),
    result: z
      .string()
      .nullable()
      .meta({
        description: '`ok`, the code of its failure, `lost` when another server was quicker, or null while it runs.',
        examples: ['upstream_timeout'],
      }),
    dropped_parameters: z.array(z.string()).describe('Parameters of the call that the server has no place for.'),
  })
  .meta({ id: 'RequestAttempt', description: 'One attempt at a model server.' })

const timings = z.object({
  queue_ms: z.number().describe('How long it waited for a place at a server, over all attempts.'),
  dialled_ms: ms('When the first server was asked'),
  first_token_ms: ms('When the first content came'),
  answered_ms: ms('When the answer was over'),
  total_ms: z.number().describe('The whole time, or the time until now while it runs.'),
  gateway_ms: z.number().nullable().describe('The part of it that the gateway itself took; null while it runs.'),
})

const usage = z.object({
  input: z.int().describe('Tokens of the prompt that no prompt cache held.'),
  cache_read: z.int().describe('Tokens read from a prompt cache.'),
  cache_write: z.int().describe('Tokens written to a prompt cache.'),
  output: z.int().describe('Tokens of the answer.'),
  reasoning: z.int().describe('Those of them that are reasoning.'),
  estimated: z.boolean().describe('Whether the gateway counted because the server did not say.'),
  service_tier: z
    .string()
    .optional()
    .describe('The tier of service as the server tells it, else as the call asks for it; `default` is the usual one.'),
  inference_geo: z.string().optional().describe('Where the model ran, where that is told or asked for.'),
  parts: z
    .object({
      audio_input: z.int().describe('Tokens of `input` that are audio.'),
      audio_cache_read: z.int().describe('Tokens of `cache_read` that are audio.'),
      audio_output: z.int().describe('Tokens of `output` that are audio.'),
      cache_write_1h: z.int().describe('Tokens of `cache_write` that are kept for an hour.'),
      searches: z.int().describe('Searches of the web that the provider made.'),
    })
    .optional()
    .describe('What may have a price of its own; absent where there is none of it.'),
})

/** The answer of `GET /v1/requests/{id}`. */
export const requestReport = z
  .object({
    id: z.string().describe('The id of the request, as in `x-request-id`.'),
    object: z.literal('request'),
    started_at: z.iso.datetime().describe('When it came.'),
    outcome: z
      .enum(['running', 'ok', 'recovered', 'hit', 'coalesced', 'denied', 'cancelled', 'failed', 'interrupted'])
      .describe(
        '`recovered` from a break, a `hit` of the cache, `coalesced` with an equal call, `denied` by the gateway, `cancelled` by the caller, `failed` at every server, `interrupted` after its beginning.',
      ),
    status: z.int().nullable().describe('The HTTP status of the answer; null before there is one.'),
    code: z.string().nullable().describe('The error code, when there was one.'),
    route: z.string().describe('The path that was called.'),
    caller: z.string().nullable().describe('The name of the key that called.'),
    stream: z.boolean().describe('Whether the answer was asked for as a stream.'),
    model: z.string().nullable().describe('The public name of the model; null before it is chosen.'),
    server: z.string().nullable().describe('The server that answered.'),
    upstream_model: z.string().nullable().describe('What that server calls the model.'),
    strategy: z.string().nullable().describe('How the order of the candidates was chosen.'),
    candidates: z.array(candidate).describe('The servers that could answer.'),
    excluded: z.array(candidate).describe('Servers of the model that cannot do what was asked, and why.'),
    skipped: z
      .array(skipped)
      .describe('Models that a limit, a budget or the rights of the key refused before a server of theirs was asked.'),
    attempts: z.array(attempt).describe('What was tried, in order.'),
    timings,
    usage: usage.nullable().describe('The tokens, each counted in one class only; null when nothing was answered.'),
    cache: z
      .enum(['hit', 'miss', 'coalesced', 'bypass'])
      .nullable()
      .describe('What the cache did; null while it is off.'),
    saved_tokens: z.int().describe('Tokens that were answered without asking a server for them.'),
    saved_usd: z.number().nullable().describe('What these would have cost; null when a price is missing.'),
    cost_usd: z
      .number()
      .nullable()
      .describe('What the caller is charged, in US dollars; null while it is not known, or when a price is missing.'),
    content_chars: z.int().describe('Characters of content sent to the caller.'),
    events_skipped: z.int().describe('Events of the server that could not be read and were left out.'),
  })
  .meta({ id: 'RequestReport', description: 'What happened to one request; never its prompt or its answer.' })
