import { readKnownModels } from '#config/known-models.ts'
import { toPrice } from '#core/cost.ts'
import type { Knowledge } from '#core/servers.ts'
import { PROVIDERS } from '#providers/index.ts'

const UNKNOWN = { context_length: null, tools: null, vision: null, json_schema: null }

/** Creates the look-up of what is known of a model before its server is asked: what its dialect cannot express, and the
 * entry of its name in `config/models.yaml`. Prices are used at the provider's own address only. */
export function composeKnowledge(): Knowledge {
  const knownModels = readKnownModels()
  return ({ kind, baseUrl }, upstreamModel) => {
    const provider = PROVIDERS.get(kind)
    const entry = knownModels(upstreamModel)
    const isOwn = provider?.defaultBaseUrl === baseUrl && entry?.kind === kind
    const said = entry === null ? UNKNOWN : { ...entry, vision: entry.input.includes('image') }
    const able = (what: 'tools' | 'vision' | 'json_schema') =>
      provider?.capabilities[what] === false ? false : said[what]
    return {
      abilities: {
        context_length: said.context_length,
        tools: able('tools'),
        vision: able('vision'),
        json_schema: able('json_schema'),
      },
      price: isOwn && entry.price !== null ? toPrice(entry.price) : null,
    }
  }
}
