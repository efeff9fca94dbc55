import { z } from 'zod'
import { cidr, host } from './addresses.ts'
import {
  boolean,
  choice,
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
  cert_file: text().describe('A PEM file with the certificate of the gateway and its chain.'),
  key_file: text().describe('A PEM file with the private key of cert_file.'),
  ca_file: text()
    .nullable()
    .default(null)
    .describe('A PEM file with a certificate authority. If set, only clients with a certificate of it may connect.'),
})

export const service = z
  .strictObject({
    name: text().default('citadel-gateway').describe('The name of the gateway in /health and in its logs.'),
    environment: text()
      .nullable()
      .default(null)
      .describe(
        'The name of the installation, such as production, in /health, log lines and the metric gateway_build_info.',
      ),
    host: host()
      .default('127.0.0.1')
      .describe('The address to listen on. 127.0.0.1: only this machine; 0.0.0.0: every address of the machine.'),
    port: port().default(8000).describe('The port to listen on; 0: any free port.'),
    workers: integerOrAuto({ min: 1, max: 256 })
      .default(1)
      .describe('How many processes share the port; auto: one per processor.'),
    worker_max_age: duration()
      .default(0)
      .describe('How long a worker process serves before a new one replaces it; 0: for ever.'),
    worker_max_requests: integer()
      .default(0)
      .describe('How many requests a worker process answers before a new one replaces it; 0: any number.'),
    secret: secret()
      .nullable()
      .default(null)
      .describe('A secret for signatures that must stay valid after a restart. It has no effect yet.'),
    secret_file: text().nullable().default(null).describe('A file that holds the secret. It has no effect yet.'),
    max_body: size()
      .default(10_000_000)
      .describe('The largest request body that is accepted; a larger one is answered 413.'),
    max_connections: integer({ min: 1 })
      .default(10_000)
      .describe('How many client connections may be open at the same time. It has no effect yet.'),
    keep_alive: duration()
      .default(65_000)
      .describe('How long an idle client connection stays open, 255s at most; 0: for ever.'),
    drain_delay: duration()
      .default(5000)
      .describe('At shutdown, the time between reporting "not ready" and refusing new requests.'),
    drain_timeout: duration().default(600_000).describe('At shutdown, how long running requests may take to finish.'),
    trusted_proxies: z
      .array(cidr())
      .default([])
      .describe('Address blocks of proxies, such as 10.0.0.0/8, whose X-Forwarded-For header is trusted. Empty: none.'),
    allow_clients: z
      .array(cidr())
      .default([])
      .describe('Address blocks, such as 10.0.0.0/8, whose clients may connect. Empty: all.'),
    tls: tls.nullable().default(null).describe('The files for serving https. null: http.'),
    data_dir: text()
      .nullable()
      .default(null)
      .describe('The folder in which state is kept. null: the usual folder of the system.'),
  })
  .prefault({})
  .transform(({ secret_file: _, ...rest }) => rest)
  .describe('The process: where it listens, and how it stops.')

const levels = ['debug', 'info', 'warn', 'error'] as const
const levelSynonyms = { trace: 'debug', warning: 'warn', critical: 'error', fatal: 'error' } as const

const thresholds = z
  .strictObject({
    response_time: ascending(duration())
      .default([1000, 5000])
      .describe('Response times of a server: [warning, critical].'),
    error_rate: ascending(fraction())
      .default([0.05, 0.1])
      .describe('Shares of failed calls in the last minute, from 0 to 1: [warning, critical].'),
    memory: ascending(fraction())
      .default([0.8, 0.95])
      .describe('Shares of the memory in use, from 0 to 1: [warning, critical].'),
  })
  .prefault({})
  .describe('Above which values the health report shows a warning, and above which a critical state.')

export const monitoring = z
  .strictObject({
    log_level: choice(levels, levelSynonyms)
      .default('info')
      .describe('The least important level of log lines that is written.'),
    metrics_endpoint: path().default('/metrics').describe('An additional path for the Prometheus metrics.'),
    health_check_endpoint: path().default('/health').describe('An additional path for the health report.'),
    prometheus_port: port(1)
      .nullable()
      .default(null)
      .describe('A second port that serves only the metrics, such as 9090. null: none.'),
    thresholds,
  })
  .prefault({})
  .describe('Logs, metrics and the health report.')

/** Applications with pages of their own have schemes of their own, such as `app:`, and some a new name at each start; what
 * stands for every page of the web is written `*` alone. */
const origin =
  /^(\*|[hH][tT][tT][pP][sS]?:\/\/(\*\.)?[A-Za-z0-9.[\]:-]+?(:(\d{1,5}|\*))?|(?![hH][tT][tT][pP][sS]?:)[A-Za-z][A-Za-z0-9+.-]*:\/\/(\*|[A-Za-z0-9._-]+(:\d{1,5})?))$/

export const cors = z
  .strictObject({
    origins: z
      .array(z.string().regex(origin, 'expected an origin such as https://app.example.com or http://localhost:*'))
      .default(['http://localhost:*', 'http://127.0.0.1:*'])
      .describe(
        'The origins of web pages that may call the gateway from a browser, such as https://app.example.com or http://localhost:*; those of desktop applications and browser extensions, such as app://obsidian.md or moz-extension://*, too.',
      ),
    credentials: boolean()
      .default(false)
      .describe('Whether those pages may send cookies and other credentials of the browser.'),
  })
  .prefault({})
  .describe('Which web pages may call the gateway.')

function ascending<T extends z.ZodType<number, number | string>>(value: T) {
  return z
    .tuple([value, value])
    .refine(pair => Number(pair[0]) <= Number(pair[1]), 'the warning must not be above the critical value')
}
