import { z } from '@hono/zod-openapi'
import { keyCreation, keyList, keyPatch, keyRotation, keyView, keyWithSecret } from '#wire/keys.ts'
import type { Answer, Operation } from '../operation.ts'
import type { CodeSample } from '../samples.ts'
import { AUTH, BASE, pageSize, tenant } from './management.ts'

const ID = '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f'
const SECRET = 'ck_3q2-7wAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk'

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
  cache: true,
  signing: false,
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

const ONE_TENANT =
  "The keys are those of the caller's tenant. Who administers the tenant `default` looks after the whole installation, and may name another one with `?tenant=`. A key of another tenant is answered like one that never was."

const query = z.object({ tenant })
const params = z.object({ id: z.string().describe('The id of the key.') })
const keyed = { tag: 'Management', params, query } as const

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

/** The operations on keys. */
export const keyOperations = {
  listKeys: {
    tag: 'Management',
    summary: 'List keys',
    description: `The keys that were made at run time, the oldest first; those of the configuration are not among them. ${ONE_TENANT}`,
    query: query.extend({
      limit: pageSize(200, 50),
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
    answers: { 201: one('The key, with its secret.', keyWithSecret, { ...key, key: SECRET, signing_secret: null }) },
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
    errors: ['invalid_request', 'not_found', 'dependency_unavailable'],
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
        signing_secret: null,
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
    errors: ['invalid_request', 'not_found', 'dependency_unavailable'],
    samples: [withKey(`curl -X DELETE "${BASE}/keys/$ID" ${AUTH}`)],
  },
} as const satisfies Record<string, Operation>
