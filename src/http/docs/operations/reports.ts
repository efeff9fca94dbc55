import { z } from '@hono/zod-openapi'
import { AUDIT_KINDS } from '#core/ledger.ts'
import { USAGE_GROUPS } from '#core/reports.ts'
import { writeCsv } from '#lib/csv.ts'
import { auditPage } from '#wire/audit.ts'
import { stats } from '#wire/stats.ts'
import { namedPage, usagePage } from '#wire/usage-report.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { shell } from '../samples.ts'
import { AUTH, BASE, pageSize, tenant, tenants } from './management.ts'

const ID = '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f'

const usage = {
  day: '2026-11-21',
  requests: 120,
  input_tokens: 5120,
  cache_read_tokens: 0,
  cache_write_tokens: 0,
  output_tokens: 20_480,
  reasoning_tokens: 0,
  saved_tokens: 0,
  cost_usd: 0.0125,
  extra_cost_usd: 0,
  saved_usd: 0,
  estimated: 3,
  lost: 0,
  unpriced: 0,
}

const entry = {
  id: ID,
  object: 'audit',
  tenant: 'default',
  at: '2026-11-21T09:00:00.000Z',
  kind: 'administration',
  action: 'key-revoked',
  actor: 'admin',
  address: null,
  request_id: null,
  subject: '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e90',
  outcome: 'ok',
  code: null,
  detail: {},
  chain: '019a8f2e-0000-7d1e-9f60-3a4b5c6d7e8f',
  seq: 17,
  hash: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
}

const query = z.object({ tenant })
const group = `(?:${USAGE_GROUPS.join('|')})`
const groups = z.string().regex(new RegExp(`^${group}(?:,${group})*$`))
const moment = z.union([z.iso.date(), z.iso.datetime({ offset: true })])

/** What is said of a list of those whom requests name. */
function named(path: 'users' | 'sessions', summary: string, whom: string): Operation {
  const one = {
    id: path === 'users' ? 'user-1234' : 'thread-42',
    key: 'web',
    tenant: 'default',
    first_seen: '2026-11-02T08:15:00.000Z',
    last_seen: '2026-11-21T09:00:00.000Z',
    requests: 84,
    tokens: 96_400,
  }
  const examples = { page: { summary: 'One of them', value: { data: [one], next: null } } }
  return {
    tag: 'Management',
    summary,
    description: `${whom}, each with the key that sent it, the last seen first. One that is seen again while you read pages moves to the first page, so that later pages do not have it. Only the caller's own tenant is listed; administrators of the tenant \`default\` may choose another one, or \`*\` for all. An entry is removed when no request has named it for \`audit.retention\`.`,
    query: z.object({
      tenant: tenants,
      key: z
        .string()
        .optional()
        .describe(
          'Only entries of this key: the id of a key made at run time, or the name of a key of the configuration.',
        ),
      limit: pageSize(10_000, 1000),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: jsonAnswer('A page; `next` is null on the last one.', namedPage, examples),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [shell(`curl ${BASE}/${path} ${AUTH}`)],
  }
}

/** The operations that tell what was used and done. */
export const reportOperations = {
  getStats: {
    tag: 'Management',
    summary: 'Get the counts of a tenant',
    description:
      'Counts the model calls of a tenant by how they ended, and their tokens by class, since the process that answers was started.',
    query,
    answers: {
      200: jsonAnswer('The counts.', stats, {
        stats: {
          summary: 'A quiet hour',
          value: {
            tenant: 'default',
            since: '2026-11-21T09:00:00.000Z',
            uptime_seconds: 3600,
            requests: {
              total: 120,
              ok: 117,
              recovered: 1,
              hit: 0,
              coalesced: 0,
              denied: 1,
              cancelled: 1,
              failed: 0,
              interrupted: 0,
            },
            cache: { hits: 0, coalesced: 0, misses: 0, hit_ratio: 0, saved_tokens: 0, saved_usd: 0 },
            tokens: { input: 5120, cache_read: 0, cache_write: 0, output: 20_480, reasoning: 0 },
          },
        },
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request'],
    samples: [shell(`curl ${BASE}/stats ${AUTH}`)],
  },
  getUsage: {
    tag: 'Management',
    summary: 'Report usage and cost',
    description:
      "Sums up the rows of model calls, grouped by any of day, key, tenant, model, server, user and session; for this month unless `from` and `to` are given. With `accept: text/csv` or `?format=csv` the answer is CSV, and the headers `x-citadel-next` and `x-citadel-note` replace `next` and `note`. Only the caller's own tenant is included; administrators of the tenant `default` may choose another one, or `*` for all.",
    query: z.object({
      tenant: tenants,
      by: groups
        .optional()
        .describe('What the sums are grouped by, separated by commas, such as `day,model`; `day` when absent.'),
      from: z.iso
        .date()
        .optional()
        .describe('The first day, such as `2026-11-01`; the first of the month of the last day when absent.'),
      to: z.iso.date().optional().describe('The last day, such as `2026-11-30`; today when absent.'),
      key: z
        .string()
        .optional()
        .describe('Only this key: the id of a key made at run time, or the name of a key of the configuration.'),
      model: z.string().optional().describe('Only this model, by its public name.'),
      server: z.string().optional().describe('Only this server, by its id.'),
      format: z
        .enum(['json', 'csv'])
        .optional()
        .describe('The format of the answer; when absent, the header `accept` decides.'),
      limit: pageSize(10_000, 1000),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: {
        description: 'A page of sums; `next` is null on the last one.',
        headers: ['x-citadel-next', 'x-citadel-note'],
        content: [
          {
            type: 'application/json',
            schema: usagePage,
            examples: { page: { summary: 'One day', value: { data: [usage], next: null } } },
          },
          {
            type: 'text/csv',
            schema: z.string(),
            examples: { page: { summary: 'One day', value: writeCsv(Object.keys(usage), [usage]) } },
          },
        ],
      },
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [shell(`curl "${BASE}/usage?by=day,model" ${AUTH}`)],
  },
  listUsers: named('users', 'List end users', 'The end users that requests name as `safety_identifier` or `user`'),
  listSessions: named('sessions', 'List conversations', 'The conversations that requests name in `x-citadel-session`'),
  getAudit: {
    tag: 'Management',
    summary: 'Read the audit log',
    description:
      "Lists the rows of the audit log, the latest first: authentication, limits, errors, health and administration, and the seals and checkpoints that show whether rows were changed. Only the caller's own tenant is included; administrators of the tenant `default` may choose another one, or `*` for all.",
    query: z.object({
      tenant: tenants,
      kind: z.enum(AUDIT_KINDS).optional().describe('Only rows of this kind.'),
      actor: z.string().optional().describe('Only what the key with this id did.'),
      from: moment.optional().describe('The first day or moment, such as `2026-11-01` or `2026-11-01T12:00:00Z`.'),
      to: moment.optional().describe('The day or moment before which rows are listed.'),
      limit: pageSize(1000, 100),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: jsonAnswer('A page of rows; `next` is null on the last one.', auditPage, {
        page: { summary: 'A key that was revoked', value: { data: [entry], next: null } },
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [shell(`curl "${BASE}/audit?kind=administration" ${AUTH}`)],
  },
} as const satisfies Record<string, Operation>
