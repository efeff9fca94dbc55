import { z } from 'zod'
import { parseDuration } from '#lib/duration.ts'
import { AFTER, looksLike } from './patterns.ts'
import { boolean, duration, integer, percent } from './scalars.ts'

const clock = () => duration({ min: 1 })

export const timeouts = z
  .strictObject({
    connect: clock().default(10_000).describe('To open a connection to a server.'),
    first_byte: clock().default(120_000).describe('To the headers of the answer.'),
    first_token: clock().default(120_000).describe('To the first content of the answer.'),
    idle: clock().default(60_000).describe('Between two pieces of the answer.'),
    total: clock().default(600_000).describe('For the whole answer, over all attempts.'),
    queue: duration().default(10_000).describe('To wait for a free place on a server.'),
  })
  .prefault({})
  .describe('How long the gateway waits for what.')

/** The timeouts that a server or model sets for itself; absent ones are inherited. */
export const timeoutOverrides = z
  .strictObject({
    connect: clock().optional(),
    first_byte: clock().optional(),
    first_token: clock().optional(),
    idle: clock().optional(),
    total: clock().optional(),
    queue: duration().optional(),
  })
  .prefault({})
  .describe('Clocks that differ from the general timeouts.')

export const retry = z
  .strictObject({
    max_attempts: integer({ min: 1, max: 20 }).default(4).describe('Attempts for one request, over all servers.'),
    max_wait: duration().default(3000).describe('The longest Retry-After that is waited for.'),
    budget_percent: percent().default(20).describe('Retries and hedges at once, as a share of active requests.'),
    budget_min: integer().default(3).describe('Retries and hedges at once that are always allowed.'),
    backoff_base: duration().default(100).describe('The first backoff; each next one doubles.'),
    backoff_max: duration().default(8000).describe('The longest backoff.'),
  })
  .prefault({})
  .describe('Trying again after a failure.')

export const recovery = z
  .strictObject({
    enabled: boolean().default(true).describe('Whether another server continues a stream that was cut.'),
  })
  .prefault({})
  .describe('Continuing a stream that was cut.')

export const streams = z
  .strictObject({
    heartbeat: duration().default(15_000).describe('Silence after which a comment keeps the connection open.'),
    early_headers: duration()
      .nullable()
      .default(null)
      .describe(
        'Answer a stream with 200 and comments after so long without content; an error is then its last event. null: never.',
      ),
  })
  .prefault({})
  .describe('How answers are streamed.')

const EXPECTED_AFTER = 'expected p95, or milliseconds, or a duration such as 200ms'

const after = () =>
  z
    .union([z.number().meta({ minimum: 0 }), z.string().meta(looksLike(AFTER))], { error: EXPECTED_AFTER })
    .transform((value, context) => {
      const hedgeAfter = toHedgeAfter(value)
      if (hedgeAfter !== null) return hedgeAfter
      context.addIssue({ code: 'custom', message: EXPECTED_AFTER })
      return z.NEVER
    })

export const hedging = z
  .strictObject({
    enabled: boolean().default(false).describe('Asks a second server when the first one is slow.'),
    after: after().default('p95').describe('A percentile of the usual time, or milliseconds; 0 asks both at once.'),
    max_percent: percent().default(5).describe('The largest share of requests for a model that are sent twice.'),
  })
  .prefault({})
  .describe('A second request beside a slow first one.')

export const hedgingOverrides = z
  .strictObject({ enabled: boolean().optional(), after: after().optional(), max_percent: percent().optional() })
  .prefault({})
  .describe('Hedging that differs from the general settings.')

// A bare number counts milliseconds here, unlike elsewhere: hedges are set in fractions of a second.
function toHedgeAfter(value: number | string): `p${number}` | number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value) : null
  const text = value.trim()
  const percentile = /^p(\d{1,2})$/i.exec(text)
  if (percentile) return Number(percentile[1]) > 0 ? `p${Number(percentile[1])}` : null
  return /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text)) : parseDuration(text)
}
