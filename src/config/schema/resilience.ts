import { z } from 'zod'
import { parseDuration } from '#lib/duration.ts'
import { AFTER, looksLike } from './patterns.ts'
import { boolean, duration, integer, percent } from './scalars.ts'

const clock = () => duration({ min: 1 })

export const timeouts = z
  .strictObject({
    connect: clock().default(10_000).describe('How long it may take to open a connection to a server.'),
    first_byte: clock().default(120_000).describe('How long a server may take to send the headers of its answer.'),
    first_token: clock()
      .default(120_000)
      .describe('How long a server may take to send the first content of its answer.'),
    idle: clock().default(60_000).describe('How long a server may be silent within an answer.'),
    total: clock().default(600_000).describe('How long a request may take in all, over all attempts.'),
    queue: duration()
      .default(10_000)
      .describe('How long a request may wait for a free place on a server; 0: it does not wait.'),
  })
  .prefault({})
  .describe('How long the gateway waits in each phase of a request.')

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
  .describe('Timeouts that differ from those under timeouts, such as { total: 30m }.')

export const retry = z
  .strictObject({
    max_attempts: integer({ min: 1, max: 20 })
      .default(4)
      .describe('How many attempts one request gets, the first included, over all servers and fallback models.'),
    max_wait: duration()
      .default(3000)
      .describe(
        'The longest wait that a server may ask for with Retry-After; a target that asks for more is not tried again.',
      ),
    budget_percent: percent()
      .default(20)
      .describe('How many retries and hedges may run at the same time, in percent of the active requests.'),
    budget_min: integer()
      .default(3)
      .describe('How many retries and hedges may always run at the same time, however few requests are active.'),
    backoff_base: duration()
      .default(100)
      .describe('The upper bound of the random wait before the first retry at a target; it doubles with each failure.'),
    backoff_max: duration().default(8000).describe('The most that this upper bound grows to.'),
  })
  .prefault({})
  .describe('How a request is tried again after a failure.')

export const recovery = z
  .strictObject({
    enabled: boolean().default(true).describe('Whether another server may continue a stream that broke off.'),
  })
  .prefault({})
  .describe('What happens to a stream that breaks off.')

export const streams = z
  .strictObject({
    heartbeat: duration()
      .default(15_000)
      .describe('How long a stream may be silent before the gateway sends a comment that keeps the connection open.'),
    early_headers: duration()
      .nullable()
      .default(null)
      .describe(
        'After this time without content, such as 30s, a stream is answered with status 200 and comments; an error is then its last event. null: never.',
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
    enabled: boolean().default(false).describe('Whether a second server is asked when the first one is slow.'),
    after: after()
      .default('p95')
      .describe(
        'When the second server is asked: after a percentile of the usual time, such as p95, or a number of milliseconds; 0: at once.',
      ),
    max_percent: percent().default(5).describe('The most requests for a model that are sent twice, in percent.'),
  })
  .prefault({})
  .describe('A second request beside a slow first one; the faster answer is used.')

export const hedgingOverrides = z
  .strictObject({ enabled: boolean().optional(), after: after().optional(), max_percent: percent().optional() })
  .prefault({})
  .describe('Settings that differ from those under hedging, such as { enabled: true }.')

// A bare number counts milliseconds here, unlike elsewhere: hedges are set in fractions of a second.
function toHedgeAfter(value: number | string): `p${number}` | number | null {
  if (typeof value === 'number') return Number.isFinite(value) && value >= 0 ? Math.round(value) : null
  const text = value.trim()
  const percentile = /^p(\d{1,2})$/i.exec(text)
  if (percentile) return Number(percentile[1]) > 0 ? `p${Number(percentile[1])}` : null
  return /^\d+(\.\d+)?$/.test(text) ? Math.round(Number(text)) : parseDuration(text)
}
