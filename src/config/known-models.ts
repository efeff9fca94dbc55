import { z } from 'zod'
// The runtime reads it a hundred times as fast as the library that knows where each value stands.
import file from '../../config/models.yaml'

const amount = z.number().min(0).nullable()
/** Prices that most models do not have. */
const parts = {
  cache_write_1h: amount,
  audio_input: amount,
  audio_cache_read: amount,
  audio_output: amount,
  reasoning: amount,
}
const rates = { input: amount, cache_read: amount, cache_write: amount, output: amount }

/** USD per million tokens, per search and per request; null = unknown. */
const price = z.strictObject({
  ...rates,
  ...z.object(parts).partial().shape,
  search: amount.optional(),
  request: amount.optional(),
  /** How many times these prices hold, by the tier of service and by the place. */
  service_tiers: z.record(z.string(), z.number().min(0)).optional(),
  inference_geo: z.record(z.string(), z.number().min(0)).optional(),
  /** Of prompts that are longer. */
  tiers: z
    .array(z.strictObject({ above: z.int().min(1), ...z.object({ ...rates, ...parts }).partial().shape }))
    .optional(),
})

const knownModel = z.strictObject({
  id: z.string().min(1),
  /** The kind of server at whose own address the price holds. */
  kind: z.string().min(1),
  /** Tokens of prompt and answer together. */
  context_length: z.int().min(1).nullable(),
  /** What it reads. */
  input: z.array(z.enum(['text', 'image', 'audio'])).min(1),
  tools: z.boolean(),
  json_schema: z.boolean(),
  price: price.nullable(),
  source: z.url(),
  date: z.iso.date(),
})

/** One model of `config/models.yaml`. */
export type KnownModelEntry = Readonly<z.output<typeof knownModel>>

/** Finds what is known of a model by the name that its server has for it; `null` when nothing is. */
export type KnownModels = (upstreamModel: string) => KnownModelEntry | null

/** Reads what is known of hosted models.
 *
 * @throws Error when the file is not of its form, or names a model twice. */
export function readKnownModels(written: unknown = file): KnownModels {
  const { models } = z.strictObject({ models: z.array(knownModel) }).parse(written, { jitless: true })
  const byId = new Map(models.map(model => [model.id, model]))
  if (byId.size !== models.length) throw new Error('a model is named twice')
  return name => byId.get(name) ?? byId.get(plainName(name)) ?? null
}

/** A name without its maker and without a date. */
function plainName(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1).replace(/-(?:\d{4}-\d{2}-\d{2}|\d{8}|latest)$/, '')
}
