import type { JsonValue } from '#lib/json.ts'
import type { Head } from '../provider.ts'

/** The tiers of service that can be asked for. */
const TIERS: ReadonlySet<JsonValue> = new Set(['standard', 'flex', 'priority'])
/** Only Google's cloud has a publisher or a project in its paths. Its hosts are many, and a proxy may stand before them. */
const CLOUD = /\/(?:publishers\/[^/]+|projects\/[^/]+\/locations)\//

/** How a call asks for a tier of service: in the body, or in a header, where Google's cloud has it. */
export interface AskedTier {
  readonly field?: JsonValue
  readonly header?: Readonly<Record<string, string>>
}

/** Asks for a tier of service; `null` for one that Google does not have.
 *
 * @param url The address of the model. */
export function toGeminiTier(tier: JsonValue, url: string): AskedTier | null {
  if (!TIERS.has(tier)) return null
  if (!CLOUD.test(url)) return { field: tier }
  return tier === 'standard' ? {} : { header: { 'x-vertex-ai-llm-shared-request-type': String(tier) } }
}

/** The tier at which a call was served: where one has no room Google answers at the usual one, which not all counts
 * tell. */
export function tierOf(head: Head | undefined): string | null {
  return head?.header('x-gemini-service-tier') ?? null
}
