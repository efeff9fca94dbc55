import { z } from 'zod'
import { autoOrBoolean, boolean, choice, duration, identifier, integer, modelName } from './scalars.ts'

export const modelClasses = ['lightweight', 'heavyweight', 'embedding', 'specialized'] as const

/** The ways to choose a target, by the names of the strategies of routing. */
export const algorithms = [
  'round_robin',
  'weighted_round_robin',
  'random',
  'least_busy',
  'latency',
  'cost',
  'affinity',
  'resident',
  'explicit',
  'auto',
] as const

/** Gives each class of models its own optional settings. */
export function perClass<T extends z.ZodType>(settings: T) {
  return z
    .strictObject({
      lightweight: settings.optional(),
      heavyweight: settings.optional(),
      embedding: settings.optional(),
      specialized: settings.optional(),
    })
    .prefault({})
}

const fallback = z
  .strictObject({
    enabled: boolean().default(true).describe('Whether another model may answer when all of a model have failed.'),
    order: z.array(modelName()).default([]).describe("Models to try after a model's own fallbacks."),
    content_filter: boolean().default(false).describe('Whether another model may answer what a filter has refused.'),
  })
  .prefault({})

const classSettings = z.strictObject({
  prefer: z.array(identifier()).default([]).describe('Servers to try first, in this order.'),
})

export const gateway = z
  .strictObject({
    default_model: modelName().nullable().default(null).describe('Answers requests that name no model.'),
    model_routing_enabled: boolean().default(true).describe('false sends every request to the default model.'),
    intelligent_routing: boolean().default(false).describe('Lets the gateway choose when a request names no model.'),
    cost_optimization_enabled: boolean().default(false).describe('Prefers the cheaper of equally fit candidates.'),
    fallback: fallback.describe('Other models that may answer instead.'),
    classes: perClass(classSettings).describe('Preferences by class of model.'),
    discover: autoOrBoolean().default('auto').describe('Looks for local model servers; auto when none is configured.'),
    demo: autoOrBoolean().default('auto').describe('Offers the built-in demo model; auto when nothing is configured.'),
    headers: choice(['short', 'full']).default('short').describe('How much response headers tell about the routing.'),
  })
  .prefault({})
  .describe('Which model answers.')

export const loadBalancer = z
  .strictObject({
    algorithm: choice(algorithms).default('weighted_round_robin').describe('How a target is chosen.'),
    preload: z
      .array(modelName())
      .default([])
      .describe('Models that servers such as Ollama load at the start, and when they come back.'),
    health_check_interval: duration({ min: 1 }).default(30_000).describe('The time between two probes of a server.'),
    health_check_timeout: duration({ min: 1 }).default(10_000).describe('How long a probe may take.'),
    unhealthy_threshold: integer({ min: 1 }).default(3).describe('Failed probes in a row that take a server out.'),
    recovery_threshold: integer({ min: 1 }).default(5).describe('Good probes in a row that bring it back.'),
    circuit_breaker_enabled: boolean()
      .default(true)
      .describe('Stops calling a target that keeps failing, for a while.'),
    circuit_breaker_threshold: integer({ min: 1 }).default(5).describe('Failures in a row that open the breaker.'),
    circuit_breaker_timeout: duration({ min: 1 })
      .default(60_000)
      .describe('How long such a target rests before one trial call.'),
  })
  .prefault({})
  .describe('How load is spread and health is judged.')
