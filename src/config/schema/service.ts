import { z } from 'zod'
import {
  boolean,
  choice,
  cidr,
  duration,
  fraction,
  integer,
  integerOrAuto,
  path,
  port,
  secret,
  size,
  text,
} from './scalars.ts'

const tls = z.strictObject({
  cert_file: text().describe('PEM file with the certificate chain.'),
  key_file: text().describe('PEM file with the private key.'),
  ca_file: text().nullable().default(null).describe('PEM file of the authority whose certificates clients must have.'),
})

export const service = z
  .strictObject({
    name: text().default('citadel-gateway').describe('How the gateway calls itself in /health and in its logs.'),
    environment: text()
      .nullable()
      .default(null)
      .describe('The installation, such as production, in /health, log lines and gateway_build_info.'),
    host: text().default('127.0.0.1').describe('The address to listen on; 0.0.0.0 for all.'),
    port: port().default(8000).describe('The port to listen on; 0 for any free one.'),
    workers: integerOrAuto({ min: 1, max: 256 })
      .default(1)
      .describe('Processes that share the port; auto for one per processor.'),
    worker_max_age: duration()
      .default(0)
      .describe('How long a worker serves before another takes its place; 0 for ever.'),
    worker_max_requests: integer().default(0).describe('How many requests it answers before; 0 for any number.'),
    secret: secret().nullable().default(null).describe('Signs what must survive a restart; made at first start.'),
    secret_file: text().nullable().default(null).describe('A file that holds the secret.'),
    max_body: size().default(10_000_000).describe('The largest request body that is read.'),
    max_connections: integer({ min: 1 }).default(10_000).describe('Open client connections at once.'),
    keep_alive: duration()
      .default(65_000)
      .describe('How long an idle client connection stays open, 255s at most; 0 for ever.'),
    drain_delay: duration().default(5000).describe('Between "not ready" and refusing new requests at shutdown.'),
    drain_timeout: duration().default(600_000).describe('How long running requests may finish at shutdown.'),
    trusted_proxies: z.array(cidr()).default([]).describe('Address blocks whose X-Forwarded-For is believed.'),
    allow_clients: z.array(cidr()).default([]).describe('Address blocks that may connect; empty for all.'),
    tls: tls.nullable().default(null).describe('Serve https from these files.'),
    data_dir: text().nullable().default(null).describe('Where state is kept; null for the usual place of the system.'),
  })
  .prefault({})
  .transform(({ secret_file: _, ...rest }) => rest)
  .describe('The process: where it listens and how it stops.')

const levels = ['debug', 'info', 'warn', 'error'] as const
const levelSynonyms = { trace: 'debug', warning: 'warn', critical: 'error', fatal: 'error' } as const

const thresholds = z
  .strictObject({
    response_time: ascending(duration()).default([1000, 5000]).describe('Warning and critical.'),
    error_rate: ascending(fraction()).default([0.05, 0.1]).describe('Warning and critical, 0 to 1.'),
    memory: ascending(fraction()).default([0.8, 0.95]).describe('Warning and critical, 0 to 1.'),
  })
  .prefault({})
  .describe('When health reports a warning and when it is critical.')

export const monitoring = z
  .strictObject({
    log_level: choice(levels, levelSynonyms).default('info').describe('The least important log line written.'),
    metrics_endpoint: path().default('/metrics').describe('The path of the Prometheus metrics.'),
    health_check_endpoint: path().default('/health').describe('The path of the health report.'),
    prometheus_port: port(1).nullable().default(null).describe('A second port that serves only the metrics.'),
    thresholds,
  })
  .prefault({})
  .describe('What can be watched, and where.')

const origin = /^(\*|[hH][tT][tT][pP][sS]?:\/\/(\*\.)?[A-Za-z0-9.[\]:-]+?(:(\d{1,5}|\*))?)$/

export const cors = z
  .strictObject({
    origins: z
      .array(z.string().regex(origin, 'expected an origin such as https://app.example.com or http://localhost:*'))
      .default(['http://localhost:*', 'http://127.0.0.1:*'])
      .describe('Pages that may call the gateway from a browser.'),
    credentials: boolean().default(false).describe('Whether those pages may send cookies.'),
  })
  .prefault({})
  .describe('Which web pages may call the gateway.')

function ascending<T extends z.ZodType<number, number | string>>(value: T) {
  return z
    .tuple([value, value])
    .refine(pair => Number(pair[0]) <= Number(pair[1]), 'the warning must not be above the critical value')
}
