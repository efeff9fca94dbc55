import type { JsonObject } from '#lib/json.ts'
import type { Served, Usage } from './usage.ts'

/** The usual tier of service, whose prices are the ones that are written down. */
export const USUAL = 'default'
/** What providers and callers call it otherwise, and the words that name no tier: who asks for `auto` learns from the
 * answer which one it was. */
const NAMES: ReadonlyMap<string, string | undefined> = new Map([
  ['default', USUAL],
  ['standard', USUAL],
  ['standard_only', USUAL],
  ['on_demand', USUAL],
  ['ON_DEMAND', USUAL],
  ['auto', undefined],
  ['unspecified', undefined],
  ['type_unspecified', undefined],
  ['not_available', undefined],
])
const NAME = /^[a-z][a-z0-9_-]{0,31}$/

/** The tier of service that somebody names, in one spelling for all; `undefined` where none is named. */
export function toServiceTier(value: unknown): string | undefined {
  return typeof value === 'string' ? (NAMES.get(value) ?? readName(value)) : undefined
}

/** Vertex writes `ON_DEMAND_PRIORITY`, and `TRAFFIC_TYPE_UNSPECIFIED` where it says nothing. */
function readName(value: string): string | undefined {
  const name = value.toLowerCase().replace(/^(?:on_demand|service_tier|traffic)_/, '')
  if (NAMES.has(name)) return NAMES.get(name)
  return NAME.test(name) ? name : undefined
}

/** How Anthropic names what it serves, in a call and in a count: fast is one of its speeds. */
export function servedIn({ service_tier, speed, inference_geo }: JsonObject): Served {
  return servedAs(speed === 'fast' ? speed : service_tier, inference_geo)
}

const UNTOLD: Served = {}

/** @returns The same empty object where nothing is told. */
export function servedAs(tier: unknown, geo?: unknown): Served {
  const serviceTier = toServiceTier(tier)
  const inferenceGeo = toServiceTier(geo)
  if (inferenceGeo !== undefined) return serviceTier === undefined ? { inferenceGeo } : { serviceTier, inferenceGeo }
  return serviceTier === undefined ? UNTOLD : { serviceTier }
}

/** Adds to a count at which tier it was served, and where; what it says itself stays. */
export function withServed(usage: Usage, served: Served): Usage {
  return served === UNTOLD ? usage : { ...served, ...usage }
}
