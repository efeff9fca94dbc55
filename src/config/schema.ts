import { z } from 'zod'
import { auth } from './schema/access.ts'
import { orchestration, performance, webhooks } from './schema/fleet.ts'
import { gateway, loadBalancer } from './schema/gateway.ts'
import { budgets, limits } from './schema/limits.ts'
import { models, server, servers } from './schema/models.ts'
import { hedging, recovery, retry, streams, timeouts } from './schema/resilience.ts'
import { cors, monitoring, service } from './schema/service.ts'
import { audit, cache, database, redis, vectors } from './schema/state.ts'

export const configSchema = z.strictObject({
  service,
  gateway,
  load_balancer: loadBalancer,
  servers,
  models,
  timeouts,
  retry,
  recovery,
  streams,
  hedging,
  auth,
  limits,
  budgets,
  cors,
  cache,
  redis,
  database,
  vectors,
  audit,
  monitoring,
  orchestration,
  webhooks,
  performance,
})

type DeepReadonly<T> = T extends readonly unknown[] | Record<string, unknown>
  ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
  : T

/** Everything that an operator can set, complete with defaults: durations in milliseconds, sizes in bytes. */
export type Config = DeepReadonly<z.output<typeof configSchema>>

/** What may be written: every key is optional. */
export type ConfigInput = z.input<typeof configSchema>

export type ServerConfig = Config['servers'][number]
export type ModelConfig = Config['models'][string]

/** Completes one server entry with its defaults. */
export function parseServer(input: z.input<typeof server>): ServerConfig {
  return server.parse(input)
}
