import { z } from 'zod'

/** One row of the audit log as it is shown. */
export const auditEntry = z
  .object({
    id: z.string(),
    object: z.literal('audit'),
    tenant: z.string(),
    at: z.iso.datetime(),
    kind: z.enum(['authentication', 'limit', 'error', 'health', 'administration', 'payload', 'batch', 'checkpoint']),
    action: z.string(),
    actor: z.string().nullable().describe('The id of the key that did it.'),
    address: z.string().nullable(),
    request_id: z.string().nullable(),
    subject: z.string().nullable().describe('What it was done to.'),
    outcome: z.string(),
    code: z.string().nullable(),
    detail: z.record(z.string(), z.unknown()),
    chain: z.string().describe('The start of the process that wrote it.'),
    seq: z.int().describe('Its place in the chain.'),
    hash: z.string().describe('Over the row and the hash of the one before.'),
  })
  .meta({ id: 'AuditEntry', description: 'One thing that was done.' })
export type AuditEntryView = z.infer<typeof auditEntry>

/** The answer of `GET /management/audit`. */
export const auditPage = z.object({ data: z.array(auditEntry), next: z.string().nullable() })
