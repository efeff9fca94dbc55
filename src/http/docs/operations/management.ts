import { z } from '@hono/zod-openapi'

/** Where the management is in the programs of the reference, and how they say who asks. */
export const BASE = 'http://localhost:8000/management'
export const AUTH = '-H "authorization: Bearer $CITADEL_ADMIN_KEY"'

/** The query in which administrators of the tenant `default` name another tenant. */
export const tenant = z.string().optional().describe('The tenant, for administrators of the tenant `default`.')
