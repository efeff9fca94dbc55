import { z } from 'zod'
import { STRATEGY_NAMES } from '#core/strategies.ts'
import { autoOrBoolean, boolean, choice, duration, identifier, integer, modelName } from './scalars.ts'

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
    enabled: boolean()
      .default(true)
      .describe('Whether another model may answer when all targets of a model have failed.'),
    order: z
      .array(modelName())
      .default([])
      .describe("Models that are tried, in this order, after a model's own fallbacks."),
    content_filter: boolean()
      .default(false)
      .describe('Whether another model may answer what the content filter of one has refused.'),
  })
  .prefault({})

const classSettings = z.strictObject({
  prefer: z.array(identifier()).default([]).describe('The ids of servers that are tried first, in this order.'),
})

export const gateway = z
  .strictObject({
    default_model: modelName()
      .nullable()
      .default(null)
      .describe('The model that answers requests which name no model, or auto. null: there is none.'),
    model_routing_enabled: boolean()
      .default(true)
      .describe('Whether requests go to the model they name; false: all go to the default model.'),
    intelligent_routing: boolean()
      .default(false)
      .describe('Whether the gateway chooses among all models when a request names none, or auto.'),
    cost_optimization_enabled: boolean()
      .default(false)
      .describe('Whether the cheaper of equally suitable targets is preferred.'),
    fallback: fallback.describe('Other models that may answer when a model fails.'),
    classes: perClass(classSettings).describe(
      'The preferred servers of each class of models, such as lightweight: { prefer: [gpu-1] }.',
    ),
    discover: autoOrBoolean()
      .default('auto')
      .describe('Whether local model servers are looked for; auto: only while no server and no model is configured.'),
    demo: autoOrBoolean()
      .default('auto')
      .describe('Whether the built-in demo model is offered; auto: only while no server and no model is configured.'),
    headers: choice(['short', 'full'])
      .default('short')
      .describe(
        'How much response headers tell; full adds the time and cost of the gateway and the reset times of limits.',
      ),
  })
  .prefault({})
  .describe('How the model that answers a request is chosen.')

export const loadBalancer = z
  .strictObject({
    algorithm: choice(STRATEGY_NAMES)
      .default('weighted_round_robin')
      .describe('The strategy that chooses among the targets of a model.'),
    preload: z
      .array(modelName())
      .default([])
      .describe('Models that servers such as Ollama load when the gateway starts, and when they come back.'),
    health_check_interval: duration({ min: 1 })
      .default(30_000)
      .describe('The time between two health probes of a server.'),
    health_check_timeout: duration({ min: 1 })
      .default(10_000)
      .describe('How long a health probe may take before it counts as failed.'),
    unhealthy_threshold: integer({ min: 1 })
      .default(3)
      .describe('How many failed probes in a row make a server unhealthy; it then gets no requests.'),
    recovery_threshold: integer({ min: 1 })
      .default(5)
      .describe('How many good probes in a row make an unhealthy server healthy again.'),
    circuit_breaker_enabled: boolean()
      .default(true)
      .describe('Whether a target that keeps failing gets no requests for a while.'),
    circuit_breaker_threshold: integer({ min: 1 })
      .default(5)
      .describe('How many failures in a row open the circuit breaker of a target.'),
    circuit_breaker_timeout: duration({ min: 1 })
      .default(60_000)
      .describe('How long an open circuit breaker keeps requests from its target before one is tried.'),
  })
  .prefault({})
  .describe('How load is spread over servers, and how their health is judged.')
