import type { Server } from '#core/servers.ts'
import type { JsonValue } from '#lib/json.ts'
import type { Head } from '../provider.ts'

/** The tiers of service that can be asked for. */
const TIERS: ReadonlySet<JsonValue> = new Set(['standard', 'flex', 'priority'])
const CLOUD = /(?:^|-)aiplatform\.googleapis\.com$/

/** How a call asks for a tier of service: in the body, or in a header, where Google's cloud has it. */
export interface AskedTier {
  readonly field?: JsonValue
  readonly header?: Readonly<Record<string, string>>
}

/** Asks for a tier of service; `null` for one that Google does not have. */
export function toGeminiTier(tier: JsonValue, { baseUrl }: Server): AskedTier | null {
  if (!TIERS.has(tier)) return null
  if (!CLOUD.test(URL.parse(baseUrl)?.hostname ?? '')) return { field: tier }
  return tier === 'standard' ? {} : { header: { 'x-vertex-ai-llm-shared-request-type': String(tier) } }
}

/** The tier at which a call was served: where one has no room Google answers at the usual one, which not all counts
 * tell. */
export function tierOf(head: Head | undefined): string | null {
  return head?.header('x-gemini-service-tier') ?? null
}
