import { z } from 'zod'
import { EVENT_TYPES } from '#core/events.ts'
import {
  boolean,
  choice,
  cidr,
  duration,
  fraction,
  headerSecret,
  hookUrl,
  httpUrl,
  identifier,
  integer,
  number,
  percent,
  secret,
  text,
} from './scalars.ts'

const load = z
  .strictObject({
    response_time: duration().default(3000).describe('Slower counts as overloaded.'),
    cpu: percent().default(85).describe('Percent of the processor.'),
    memory: percent().default(90).describe('Percent of the memory.'),
    error_rate: fraction().default(0.05).describe('Failed requests, 0 to 1.'),
    queue: integer().default(50).describe('Requests that wait.'),
  })
  .prefault({})

const gatewayAbove = z
  .union([httpUrl(), z.strictObject({ url: httpUrl(), api_key: headerSecret().nullable().default(null) })], {
    error: 'expected an address, or { url, api_key }',
  })
  .transform(value => (typeof value === 'string' ? { url: value, api_key: null } : value))

export const orchestration = z
  .strictObject({
    allowed_addresses: z.array(cidr()).default([]).describe('Private address blocks that registered servers may have.'),
    heartbeat_timeout: duration({ min: 1 }).default(90_000).describe('Silence after which a registered server is out.'),
    register_with: z
      .array(gatewayAbove)
      .default([])
      .describe('Gateways that this one registers with: an address, or { url, api_key } where they ask for a key.'),
    advertise: httpUrl().nullable().default(null).describe('Where they reach this gateway; host and port when absent.'),
    credentials: z
      .record(identifier(), headerSecret())
      .default({})
      .describe('Keys that registered servers ask for, by the name under which they register.'),
    load: load.describe('When a server counts as overloaded.'),
  })
  .prefault({})
  .describe('Servers that register themselves.')

const delivery = z
  .strictObject({
    url: hookUrl().describe('Where events are sent; a query is sent, too.'),
    events: z.array(choice(EVENT_TYPES)).nullable().default(null).describe('Which events; null for all.'),
    secret: secret().nullable().default(null).describe('Signs what is sent.'),
    secret_file: text().nullable().default(null).describe('A file that holds the secret.'),
  })
  .transform(({ secret_file: _, ...rest }) => rest)

export const webhooks = z
  .strictObject({
    secrets: z.record(z.string(), secret()).default({}).describe('The secret of each kind of webhook received.'),
    deliver: z.array(delivery).default([]).describe('Where events of the gateway are sent.'),
  })
  .prefault({})
  .describe('Events received and sent over HTTP.')

/** The keys of an earlier gateway; each is translated into the key that replaced it. */
export const performance = z
  .strictObject({
    request_timeout_seconds: number({ above: 0 }).nullable().default(null).describe('timeouts.first_byte and idle.'),
    max_concurrent_requests: integer().nullable().default(null).describe('limits.global.concurrent_requests.'),
    rate_limiting_enabled: boolean().nullable().default(null).describe('limits.enabled.'),
    rate_limit_rps: number({ above: 0 })
      .nullable()
      .default(null)
      .describe('limits.global, per second, burst four times.'),
    memory_limit_gb: number({ above: 0 }).nullable().default(null).describe('What the process may use.'),
    cpu_cores: number({ above: 0 }).nullable().default(null).describe('Reported beside the processors in use.'),
  })
  .prefault({})
  .describe('Earlier words for timeouts and limits.')
