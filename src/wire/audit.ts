import { z } from 'zod'
import { reportNote } from './usage-report.ts'

/** One row of the audit log as it is shown. */
const auditEntry = z
  .object({
    id: z.string().describe('The id of the row.'),
    object: z.literal('audit'),
    tenant: z.string().describe('The tenant that the row belongs to.'),
    at: z.iso.datetime().describe('When it happened.'),
    kind: z.enum(['authentication', 'limit', 'error', 'health', 'administration', 'payload', 'batch', 'checkpoint']),
    action: z.string().meta({ description: 'What happened.', examples: ['key-revoked'] }),
    actor: z.string().nullable().describe('The id of the key that did it; null: nobody, or it is not known.'),
    address: z.string().nullable().describe('The network address of the caller.'),
    request_id: z.string().nullable().describe('The `x-request-id` of the request.'),
    subject: z.string().nullable().describe('The id of what was changed or affected, such as a key or a server.'),
    outcome: z.string(),
    code: z.string().nullable().describe('The error code, when there was an error.'),
    detail: z.record(z.string(), z.unknown()).describe('More about it; the fields depend on `action`.'),
    chain: z.string().describe('The id of the chain that the row belongs to; each process starts a chain of its own.'),
    seq: z.int().describe('The position of the row in its chain.'),
    hash: z.string().describe('The hash of this row together with the hash of the row before it.'),
  })
  .meta({ id: 'AuditEntry', description: 'One row of the audit log.' })
export type AuditEntryView = z.infer<typeof auditEntry>

/** The answer of `GET /management/audit`. */
export const auditPage = z.object({
  data: z.array(auditEntry),
  next: z.string().nullable().describe('The value of `after` for the next page; null on the last page.'),
  note: reportNote,
})
