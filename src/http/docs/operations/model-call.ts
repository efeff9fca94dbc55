import { z } from '@hono/zod-openapi'
import { PRIORITIES } from '#core/priority.ts'
import { STRATEGY_NAMES } from '#core/strategies.ts'

const count = () => z.int().min(1).optional()

/** The request headers of every model call. */
export const modelCallHeaders = z.object({
  'x-citadel-server': z.string().optional().describe('Asks only this server, by its id.'),
  'x-citadel-strategy': z
    .enum(STRATEGY_NAMES)
    .optional()
    .describe('How a server is chosen for this call. Where keys are in use it needs one.'),
  'x-citadel-timeout-ms': count().describe(
    'How long this call may take in total; it can only shorten what is configured.',
  ),
  'x-citadel-first-token-ms': count().describe(
    'How long the first content of a stream may take from the request on, over all attempts; past it the answer is 504 `deadline_exceeded`.',
  ),
  'x-citadel-idle-ms': count().describe(
    'How long a stream may pause between two pieces; past it the stream ends with the error `deadline_exceeded`.',
  ),
  'x-citadel-max-attempts': count().describe(
    'How many attempts this call may take; it can only lower what is configured.',
  ),
  'x-citadel-priority': z
    .enum(PRIORITIES)
    .optional()
    .describe('How soon this call gets a place when every server is busy; at most what the key allows.'),
  'x-citadel-session': z
    .string()
    .optional()
    .describe('The conversation that this call belongs to, for the reports of usage.'),
  'cache-control': z
    .string()
    .optional()
    .describe(
      '`no-cache` wants a new answer, `no-store` keeps the call out of the cache, `max-age=SECONDS` wants no older answer, `only-if-cached` wants a stored one or 504.',
    ),
  'idempotency-key': z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe(
      'Makes the call safe to repeat: the same key with the same body gets the stored answer for 24 hours. Visible ASCII characters.',
    ),
  'anthropic-beta': z.string().optional().describe('Passed on to servers of the kind `anthropic`, and to no others.'),
  traceparent: z.string().optional().describe('A W3C trace context; it is passed on to the model server.'),
})

/** The response headers of every model call. */
export const MODEL_CALL_ANSWER_HEADERS = [
  'x-citadel-model',
  'x-citadel-server',
  'x-citadel-attempts',
  'x-citadel-dropped-parameters',
  'x-citadel-overhead-ms',
  'x-citadel-cost',
  'server-timing',
  'x-citadel-cache',
  'cache-status',
  'age',
  'idempotency-replayed',
  'x-ratelimit-limit-requests',
  'x-ratelimit-remaining-requests',
  'x-ratelimit-reset-requests',
  'x-ratelimit-limit-tokens',
  'x-ratelimit-remaining-tokens',
  'x-ratelimit-reset-tokens',
] as const
