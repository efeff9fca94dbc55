import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import { createLog, type Log } from '#telemetry/log.ts'
import { createRedactor } from '#telemetry/quote.ts'
import { secretsOf } from './edge.ts'
import type { Overrides } from './gateway.ts'

/** The log for operators. */
export interface Logged {
  readonly log: Log
  /** Removes the secrets of the configuration from a text. */
  redact(text: string): string
  reload(config: Config): void
}

/** Creates the log. */
export function composeLog(config: Config, clock: Clock, overrides: Pick<Overrides, 'write' | 'pretty'>): Logged {
  let redact = createRedactor(secretsOf(config))
  const log = createLog({
    write: overrides.write ?? (() => {}),
    clock,
    level: config.monitoring.log_level,
    service: config.service.name,
    environment: config.service.environment,
    redact: secretsOf(config),
    pretty: overrides.pretty,
  })
  return {
    log,
    redact: text => redact(text),
    reload(next) {
      const secrets = secretsOf(next)
      redact = createRedactor(secrets)
      const { name: service, environment } = next.service
      log.configure({ level: next.monitoring.log_level, service, environment, redact: secrets })
    },
  }
}
