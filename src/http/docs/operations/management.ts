import { z } from '@hono/zod-openapi'
import { tenantName } from '#wire/keys.ts'

/** Where the management is in the programs of the reference, and how they say who asks. */
export const BASE = 'http://localhost:8000/management'
export const AUTH = '-H "authorization: Bearer $CITADEL_ADMIN_KEY"'

/** How many entries of a list are asked for at once. */
export function pageSize(most: number, usual: number) {
  return z.int().min(1).max(most).optional().describe(`How many entries a page has at most; ${usual} when absent.`)
}

/** The query in which administrators of the tenant `default` name another tenant. */
export const tenant = tenantName
  .optional()
  .describe(
    'The tenant to act for; only administrators of the tenant `default` may set it. Their own tenant when absent.',
  )

/** The same where all tenants may be asked about at once. */
export const tenants = z
  .union([tenantName, z.literal('*')])
  .optional()
  .describe(
    'The tenant to report on, or `*` for all; only administrators of the tenant `default` may set it. Their own tenant when absent.',
  )
