import { z } from '@hono/zod-openapi'
import { writeCsv } from '#lib/csv.ts'
import { auditPage } from '#wire/audit.ts'
import { keyCreation, keyList, keyPatch, keyRotation, keyView, keyWithSecret } from '#wire/keys.ts'
import { configValues, managedModels, managedServers, reloaded } from '#wire/management.ts'
import { stats } from '#wire/stats.ts'
import { namedPage, usagePage } from '#wire/usage-report.ts'
import type { Answer, Operation } from '../operation.ts'
import type { CodeSample } from '../samples.ts'

const ID = '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f'
const SECRET = 'ck_3q2-7wAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk'
const BASE = 'http://localhost:8000/management'
const AUTH = '-H "authorization: Bearer $CITADEL_ADMIN_KEY"'

const limits = {
  requests_per_minute: 60,
  requests_per_hour: null,
  requests_per_day: null,
  tokens_per_minute: 100_000,
  tokens_per_hour: null,
  tokens_per_day: null,
  concurrent_requests: 5,
  burst: null,
}

const key = {
  id: ID,
  object: 'key',
  tenant: 'default',
  name: 'web',
  prefix: 'ck_3q2-7w',
  role: 'caller',
  status: 'active',
  models: ['chat'],
  max_priority: 'normal',
  limits,
  budget: { usd: 50, per: 'month' },
  origin: 'created',
  created_by: 'admin',
  created_at: '2026-11-21T09:00:00.000Z',
  expires_at: '2027-06-30T00:00:00.000Z',
  rotated_at: null,
  previous_until: null,
  revoked_at: null,
}

const created = {
  name: 'web',
  models: ['chat'],
  limits: { requests_per_minute: 60, tokens_per_minute: 100_000, concurrent_requests: 5 },
  budget: { usd: 50, per: 'month' },
  expires_at: '2027-06-30T00:00:00Z',
}

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

const ONE_TENANT =
  "The keys are those of the caller's tenant. Who administers the tenant `default` looks after the whole installation, and may name another one with `?tenant=`. A key of another tenant is answered like one that never was."

const tenant = z.string().optional().describe('The tenant, for administrators of the tenant `default`.')
const tenants = z.string().optional().describe('The tenant, or * for all, for administrators of the tenant `default`.')
const query = z.object({ tenant })
const params = z.object({ id: z.string().describe('The id of the key.') })

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
    description: `${whom}, within the key that sent them; those that were seen last first. They are those of the caller's tenant; administrators of the tenant \`default\` may name another one, or \`*\` for all. They are forgotten when nobody has named them for \`audit.retention\`.`,
    query: z.object({
      tenant: tenants,
      key: z.string().optional().describe('Only those of this key.'),
      limit: z.string().optional().describe('How many at once, 1 to 10000; 1000 when absent.'),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: {
        description: 'A page; `next` is null on the last one.',
        content: [{ type: 'application/json', schema: namedPage, examples }],
      },
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/${path} ${AUTH}` }],
  }
}

function one(description: string, schema: z.ZodType, value: unknown): Answer {
  return {
    description,
    content: [{ type: 'application/json', schema, examples: { key: { summary: 'A key', value } } }],
  }
}

/** A program that makes a key and goes on with its id in `$ID`. */
function withKey(...lines: readonly string[]): CodeSample {
  const source = [
    `ID=$(curl ${BASE}/keys ${AUTH} \\`,
    `  -d '{ "name": "web" }' | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')`,
    ...lines,
  ]
  return { lang: 'bash', label: 'curl', source: source.join('\n') }
}

const keyed = { tag: 'Management', params, query } as const

function page(description: string, schema: z.ZodType, entry: unknown): Answer {
  const value = { data: [entry], next: null }
  return {
    description,
    content: [{ type: 'application/json', schema, examples: { page: { summary: 'A page', value } } }],
  }
}

const target = {
  server: 'gpu-1',
  model: 'mixtral:8x7b',
  status: 'healthy',
  weight: 1,
  in_flight: 2,
  loaded: true,
  reason: null,
}

const settings = {
  listManagedModels: {
    tag: 'Management',
    summary: 'List models',
    description: 'Every model, of all tenants, and how its targets are.',
    answers: {
      200: page('The models, always as one page.', managedModels, {
        id: 'chat',
        class: 'heavyweight',
        status: 'available',
        targets: [target],
        aliases: [],
        fallbacks: [],
      }),
    },
    passes: ['caller'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/models/list ${AUTH}` }],
  },
  getServersStatus: {
    tag: 'Management',
    summary: 'See how the servers are',
    description: 'The same as the list of the fleet, always with a key.',
    answers: {
      200: page('The servers, always as one page.', managedServers, {
        server_id: 'gpu-1',
        hostname: '10.0.0.34',
        port: 11_434,
        kind: 'ollama',
        role: 'primary',
        origin: 'configuration',
        status: 'active',
        models: ['chat'],
        services: [],
        health_status: 'healthy',
        last_seen: '2026-11-21T09:00:00.000Z',
        capabilities: [],
        load_metrics: { in_flight: 2 },
      }),
    },
    passes: ['caller'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/servers/status ${AUTH}` }],
  },
  getConfig: {
    tag: 'Management',
    summary: 'See the configuration',
    description: 'Every value that holds now, and where it was written; secrets are left out.',
    answers: {
      200: page('The values, always as one page.', configValues, {
        key: 'service.port',
        value: 8000,
        origin: 'gateway.yaml:3:9',
      }),
    },
    passes: ['caller'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/config ${AUTH}` }],
  },
  reloadConfig: {
    tag: 'Management',
    summary: 'Read the configuration again',
    description:
      'The files, the environment files and the secrets in files are read again, as after SIGHUP. A configuration that is wrong changes nothing, and `details` has everything that is wrong with it.',
    answers: {
      200: {
        description: 'It was taken over.',
        content: [
          {
            type: 'application/json',
            schema: reloaded,
            examples: {
              reloaded: { summary: 'Nothing to add', value: { reloaded: true, warnings: [], restart: [] } },
            },
          },
        ],
      },
    },
    passes: ['caller'],
    errors: ['invalid_request', 'conflict'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl -X POST ${BASE}/config/reload ${AUTH}` }],
  },
} as const satisfies Record<string, Operation>

/** The operations below `/management`. */
export const managementOperations = {
  ...settings,
  getStats: {
    tag: 'Management',
    summary: 'See what a tenant used',
    description: 'Requests by how they ended, and tokens by class, since this process started.',
    query,
    answers: {
      200: {
        description: 'The sums.',
        content: [
          {
            type: 'application/json',
            schema: stats,
            examples: {
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
                  cache: { hits: 0, coalesced: 0, misses: 0, hit_ratio: 0, saved_tokens: 0 },
                  tokens: { input: 5120, cache_read: 0, cache_write: 0, output: 20_480, reasoning: 0 },
                },
              },
            },
          },
        ],
      },
    },
    passes: ['caller'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/stats ${AUTH}` }],
  },
  getUsage: {
    tag: 'Management',
    summary: 'See what requests used and cost',
    description:
      "Sums of the rows that are kept of every model call, by any of day, key, tenant, model, server, user and session; of this month unless `from` and `to` say otherwise. As CSV with `Accept: text/csv` or `?format=csv`, where the header `x-citadel-next` takes the place of `next`. They are those of the caller's tenant; administrators of the tenant `default` may name another one, or `*` for all.",
    query: z.object({
      tenant: tenants,
      by: z
        .string()
        .optional()
        .describe('Groups, separated by commas: day, key, tenant, model, server, user, session.'),
      from: z.string().optional().describe('The first day, as 2027-01-31.'),
      to: z.string().optional().describe('The last day.'),
      key: z.string().optional().describe('Only this key.'),
      model: z.string().optional().describe('Only this model.'),
      server: z.string().optional().describe('Only this server.'),
      format: z.string().optional().describe('json or csv.'),
      limit: z.string().optional().describe('How many lines at once, 1 to 10000; 1000 when absent.'),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: {
        description: 'A page of sums; `next` is null on the last one.',
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
    samples: [{ lang: 'bash', label: 'curl', source: `curl "${BASE}/usage?by=day,model" ${AUTH}` }],
  },
  listUsers: named('users', 'See end users', 'The end users that requests name as `safety_identifier` or `user`'),
  listSessions: named('sessions', 'See conversations', 'The conversations that requests name in `x-citadel-session`'),
  getAudit: {
    tag: 'Management',
    summary: 'See what was done',
    description:
      "Rows of the audit log, the latest first: authentication, limits, errors, health and administration, and the seals and checkpoints that keep it whole. They are those of the caller's tenant; administrators of the tenant `default` may name another one, or `*` for all.",
    query: z.object({
      tenant: tenants,
      kind: z.string().optional().describe('Only this kind.'),
      actor: z.string().optional().describe('Only what this key did.'),
      from: z.string().optional().describe('From this day or moment on.'),
      to: z.string().optional().describe('Before this day or moment.'),
      limit: z.string().optional().describe('How many at once, 1 to 1000; 100 when absent.'),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: {
        description: 'A page of rows; `next` is null on the last one.',
        content: [
          {
            type: 'application/json',
            schema: auditPage,
            examples: { page: { summary: 'A key that was revoked', value: { data: [entry], next: null } } },
          },
        ],
      },
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl "${BASE}/audit?kind=administration" ${AUTH}` }],
  },
  listKeys: {
    tag: 'Management',
    summary: 'List keys',
    description: `The keys that were made at run time, the oldest first; those of the configuration are not among them. ${ONE_TENANT}`,
    query: query.extend({
      limit: z.string().optional().describe('How many at once, 1 to 200; 50 when absent.'),
      after: z.string().optional().describe('`next` of the page before.'),
    }),
    answers: {
      200: {
        description: 'A page of keys; `next` is null on the last one.',
        content: [
          {
            type: 'application/json',
            schema: keyList,
            examples: { page: { summary: 'The last page', value: { data: [key], next: null } } },
          },
        ],
      },
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/keys ${AUTH}` }],
  },
  createKey: {
    tag: 'Management',
    summary: 'Make a key',
    description: `The answer is the only place where the key itself is ever shown; what is stored is a hash of it. ${ONE_TENANT}`,
    query,
    body: { schema: keyCreation, examples: { limited: { summary: 'A key with limits and a budget', value: created } } },
    answers: { 201: one('The key, with its secret.', keyWithSecret, { ...key, key: SECRET }) },
    passes: ['caller', 'body'],
    errors: ['dependency_unavailable'],
    samples: [{ lang: 'bash', label: 'curl', source: `curl ${BASE}/keys ${AUTH} \\\n  -d '{ "name": "web" }'` }],
  },
  showKey: {
    ...keyed,
    summary: 'Show a key',
    description: `What a key may do, and whether it is still good. ${ONE_TENANT}`,
    answers: { 200: one('The key, without its secret.', keyView, key) },
    passes: ['caller'],
    errors: ['not_found', 'dependency_unavailable'],
    samples: [withKey(`curl "${BASE}/keys/$ID" ${AUTH}`)],
  },
  updateKey: {
    ...keyed,
    summary: 'Change a key',
    description: `What the body does not name stays as it is, also within \`limits\`. It holds within five seconds everywhere. ${ONE_TENANT}`,
    body: {
      schema: keyPatch,
      examples: { slower: { summary: 'Another limit', value: { limits: { requests_per_minute: 30 } } } },
    },
    answers: {
      200: one('The key as it is now.', keyView, { ...key, limits: { ...limits, requests_per_minute: 30 } }),
    },
    passes: ['caller', 'body'],
    errors: ['not_found', 'conflict', 'dependency_unavailable'],
    samples: [
      withKey(`curl -X PATCH "${BASE}/keys/$ID" ${AUTH} \\`, `  -d '{ "limits": { "requests_per_minute": 30 } }'`),
    ],
  },
  rotateKey: {
    ...keyed,
    summary: 'Give a key another secret',
    description: `The key stays the same, with its limits, its budget and its history; the old secret is good for the overlap, a day unless told otherwise. ${ONE_TENANT}`,
    body: {
      schema: keyRotation,
      examples: { hour: { summary: 'An hour to change over', value: { overlap_seconds: 3600 } } },
    },
    answers: {
      200: one('The key, with its new secret.', keyWithSecret, {
        ...key,
        rotated_at: '2026-12-01T09:00:00.000Z',
        previous_until: '2026-12-02T09:00:00.000Z',
        key: SECRET,
      }),
    },
    passes: ['caller', 'body'],
    errors: ['not_found', 'conflict', 'dependency_unavailable'],
    samples: [withKey(`curl -X POST "${BASE}/keys/$ID/rotate" ${AUTH}`)],
  },
  revokeKey: {
    ...keyed,
    summary: 'Revoke a key',
    description: `Ends it for good, also the secret before its last rotation. It holds within five seconds everywhere. ${ONE_TENANT}`,
    answers: {
      200: one('The key, revoked.', keyView, {
        ...key,
        status: 'revoked',
        revoked_at: '2026-12-01T09:00:00.000Z',
      }),
    },
    passes: ['caller'],
    errors: ['not_found', 'dependency_unavailable'],
    samples: [withKey(`curl -X DELETE "${BASE}/keys/$ID" ${AUTH}`)],
  },
} as const satisfies Record<string, Operation>
