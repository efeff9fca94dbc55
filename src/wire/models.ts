import { z } from 'zod'

/** The classes that an operator may give to a model. */
export const MODEL_CLASSES = ['lightweight', 'heavyweight', 'embedding', 'specialized'] as const

const modelClass = z.enum(MODEL_CLASSES).nullable().describe('The class that the operator gave it; null for none.')

const capabilities = z
  .object({
    tools: z.boolean().nullable().describe('Whether it can call tools; null when unknown.'),
    vision: z.boolean().nullable().describe('Whether it can read images; null when unknown.'),
  })
  .meta({ id: 'Capabilities', description: 'What the model can do, as far as the operator said.' })

/** One model as `GET /v1/models` lists it: OpenAI's four fields, and what people and pickers want to know. */
export const modelEntry = z
  .object({
    id: z.string().meta({
      description: 'The name to ask for; of one model, the name that was asked for.',
      examples: ['citadel-demo'],
    }),
    object: z.literal('model'),
    created: z.int().describe('Unix seconds; 0 when unknown.'),
    owned_by: z.string().describe('Who offers it, as its server says; else the id of the server.'),
    display_name: z.string().describe('The name that people read.'),
    class: modelClass,
    context_length: z.int().nullable().describe('Tokens of prompt and answer together; null when unknown.'),
    capabilities,
  })
  .meta({ id: 'Model', description: 'A model that the caller may use.' })

/** The answer of `GET /v1/models`. */
export const modelList = z
  .object({ object: z.literal('list'), data: z.array(modelEntry).describe('The models, by name.') })
  .meta({ id: 'ModelList', description: 'Every model that the caller may use, from all servers.' })

const serverHealth = z
  .enum(['unknown', 'healthy', 'degraded', 'unhealthy'])
  .describe('What the last probes say; `unknown` until the first one.')

const targetStatus = z
  .object({
    server: z.string().describe('The id of the server.'),
    model: z.string().describe('The name of the model there.'),
    status: serverHealth,
    weight: z.number().describe('Its share of the load beside the other targets.'),
    in_flight: z.int().describe('Requests that it is answering now.'),
    loaded: z.boolean().nullable().describe('Whether the server has it in memory; null when it does not say.'),
    reason: z.string().nullable().describe('Why it is not healthy; null when it is.'),
  })
  .meta({ id: 'TargetStatus', description: 'One place where a model is answered.' })

/** A model and how its targets are. */
export const modelStatus = z
  .object({
    id: z.string().describe('The public name.'),
    class: modelClass,
    status: z
      .enum(['available', 'degraded', 'unavailable'])
      .describe('`degraded` when some targets can answer and others cannot.'),
    targets: z.array(targetStatus).describe('Where it is answered.'),
    aliases: z.array(z.string()).describe('Other names for it.'),
    fallbacks: z.array(z.string()).describe('Models that answer when no target does.'),
  })
  .meta({ id: 'ModelStatus', description: 'A model and how its targets are.' })

/** The answer of `GET /models/status`. */
export const modelsStatus = z
  .object({ models: z.array(modelStatus) })
  .meta({ id: 'ModelsStatus', description: 'Every model and how its targets are.' })

const provider = z
  .object({
    id: z.string().describe('The kind of server, as the configuration calls it.'),
    object: z.literal('provider'),
    servers: z.array(
      z.object({
        id: z.string().describe('The id of the server.'),
        status: serverHealth,
        models: z.array(z.string()).describe('The public names of the models that it answers.'),
      }),
    ),
  })
  .meta({ id: 'Provider', description: 'All servers of one kind.' })

/** The answer of `GET /v1/providers`. */
export const providerList = z
  .object({ object: z.literal('list'), data: z.array(provider) })
  .meta({ id: 'ProviderList', description: 'The servers, by kind.' })
