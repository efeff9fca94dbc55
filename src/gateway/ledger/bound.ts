import type { Call } from '#core/call.ts'
import type { Bound } from '#core/cost.ts'
import type { Model } from '#core/servers.ts'
import { servedIn } from '#core/service-tier.ts'
import { SEARCHES_MAX, TOKENS_MAX, tokenCount } from '#core/usage.ts'
import { isObject, type JsonObject } from '#lib/json.ts'
import { allowedBy, answersTo, type Lengths } from '../limits/estimate.ts'
import { estimateUsage } from '../settle.ts'

/** How long a prompt is to be kept, in each way that JSON has to write it; slow, and hardly anybody writes escapes. */
const HOUR = /"(?:1|\\u0031)(?:h|\\u0068)"/

/** What a call may use at most at a model, as far as the call itself says it. */
export function boundOf(call: Call, model: Model, lengths: Lengths): Bound {
  const { body, source } = call
  return {
    input: estimateUsage(call, 0).input,
    output: mostOutput(call, model, lengths),
    searches: searchesOf(body.tools),
    // The marks of what is to be cached may stand anywhere in a prompt.
    keeps: source === null || source.includes('"1h"') || (source.includes('\\u00') && HOUR.test(source)),
    speaks: Array.isArray(body.modalities) && body.modalities.includes('audio'),
    asked: servedIn(body),
    ...besidesOf(body.tools, lengths),
  }
}

/** The tokens that the answers of a call may have: its own limit, else the usual length. */
function mostOutput(call: Call, model: Model, lengths: Lengths): number {
  if (call.endpoint === 'embeddings') return 0
  return Math.min(TOKENS_MAX, answersTo(call) * (allowedBy(call) ?? lengths.usual(model.name)))
}

/** What other models may be asked for: an adviser of Anthropic, once where the call sets no bound. */
function besidesOf(tools: unknown, lengths: Lengths): Pick<Bound, 'besides'> {
  const advisers = Array.isArray(tools) ? tools.filter(isObject).filter(isAdviser) : []
  if (advisers.length === 0) return {}
  const besides = advisers.map(({ model, max_uses: uses, max_tokens: said }) => ({
    model: String(model),
    output: tokenCount(said) || lengths.usual(String(model)),
    uses: Math.max(1, tokenCount(uses)),
  }))
  return { besides }
}

function isAdviser({ type }: JsonObject): boolean {
  return String(type).startsWith('advisor_')
}

/** How often a provider may search the web for a call; what sets no bound is not known, and counts as none. */
function searchesOf(tools: unknown): number {
  if (!Array.isArray(tools)) return 0
  const uses = tools.map(tool => (isObject(tool) && String(tool.type).startsWith('web_search') ? tool.max_uses : 0))
  const all = uses.reduce((sum: number, most) => sum + (typeof most === 'number' && most > 0 ? most : 0), 0)
  return Math.min(SEARCHES_MAX, Math.ceil(all))
}
