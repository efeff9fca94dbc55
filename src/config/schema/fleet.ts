import { z } from 'zod'
import { EVENT_TYPES } from '#core/events.ts'
import { cidr, hookUrl, httpUrl } from './addresses.ts'
import {
  boolean,
  choice,
  duration,
  fraction,
  headerSecret,
  identifier,
  integer,
  number,
  percent,
  signingSecret,
  text,
} from './scalars.ts'

const load = z
  .strictObject({
    response_time: duration().default(3000).describe('The response time above which a server counts as overloaded.'),
    cpu: percent()
      .default(85)
      .describe('The use of the processor, in percent, above which a server counts as overloaded.'),
    memory: percent()
      .default(90)
      .describe('The use of the memory, in percent, above which a server counts as overloaded.'),
    error_rate: fraction()
      .default(0.05)
      .describe('The share of failed requests, from 0 to 1, above which a server counts as overloaded.'),
    queue: integer().default(50).describe('The number of waiting requests above which a server counts as overloaded.'),
  })
  .prefault({})

const gatewayAbove = z
  .union([httpUrl(), z.strictObject({ url: httpUrl(), api_key: headerSecret().nullable().default(null) })], {
    error: 'expected an address, or { url, api_key }',
  })
  .transform(value => (typeof value === 'string' ? { url: value, api_key: null } : value))

export const orchestration = z
  .strictObject({
    allowed_addresses: z
      .array(cidr())
      .default([])
      .describe(
        'Blocks of private addresses, such as 10.0.0.0/8, that registered servers may have. Empty: only public addresses.',
      ),
    heartbeat_timeout: duration({ min: 1 })
      .default(90_000)
      .describe('How long a registered server may go without a heartbeat before it is removed.'),
    register_with: z
      .array(gatewayAbove)
      .default([])
      .describe(
        'Other gateways that this one registers with as a server: an address, or { url, api_key } if they ask for a key.',
      ),
    advertise: httpUrl()
      .nullable()
      .default(null)
      .describe('The address at which those gateways reach this one. null: made of service.host and service.port.'),
    credentials: z
      .record(identifier(), headerSecret())
      .default({})
      .describe(
        'The API keys of registered servers: a map of names to keys. A server names its entry when it registers.',
      ),
    load: load.describe('The loads, as servers report them, above which a server counts as overloaded.'),
  })
  .prefault({})
  .describe('Servers that register themselves, and gateways that this one registers with.')

const delivery = z
  .strictObject({
    url: hookUrl().describe(
      'The address that events are sent to, such as https://hooks.example.com/citadel; it may have a query.',
    ),
    events: z
      .array(choice(EVENT_TYPES))
      .nullable()
      .default(null)
      .describe('The types of events that are sent. null: all.'),
    secret: signingSecret()
      .nullable()
      .default(null)
      .describe('The secret that signs each delivery. null: deliveries are not signed.'),
    secret_file: text().nullable().default(null).describe('A file that holds the secret, such as /run/secrets/hook.'),
  })
  .transform(({ secret_file: _, ...rest }) => rest)

export const webhooks = z
  .strictObject({
    secrets: z
      .record(z.string(), signingSecret())
      .default({})
      .describe('The secrets that senders sign with: a map of kinds of webhook, such as server_status, to secrets.'),
    deliver: z.array(delivery).default([]).describe('The addresses that events of the gateway are sent to.'),
  })
  .prefault({})
  .describe('Events that the gateway receives and sends over HTTP.')

/** The keys of an earlier gateway; each is translated into the key that replaced it. */
export const performance = z
  .strictObject({
    request_timeout_seconds: number({ above: 0 })
      .nullable()
      .default(null)
      .describe('Sets timeouts.first_byte and timeouts.idle, in seconds.'),
    max_concurrent_requests: integer().nullable().default(null).describe('Sets limits.global.concurrent_requests.'),
    rate_limiting_enabled: boolean().nullable().default(null).describe('Sets limits.enabled.'),
    rate_limit_rps: number({ above: 0 })
      .nullable()
      .default(null)
      .describe(
        'Requests per second over all callers, with a burst of four times as many. It also removes the limit of each caller.',
      ),
    memory_limit_gb: number({ above: 0 })
      .nullable()
      .default(null)
      .describe(
        'The memory that the gateway may use, in gigabytes; near it, new calls are refused. null: what the container or machine has.',
      ),
    cpu_cores: number({ above: 0 })
      .nullable()
      .default(null)
      .describe(
        'The number of processors that cpu.used in /health/detailed is a share of. null: those of the machine.',
      ),
  })
  .prefault({})
  .describe('Settings of an earlier gateway. Where the key they stand for is set too, that key wins.')
