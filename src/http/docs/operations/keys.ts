import { z } from '@hono/zod-openapi'
import { keyCreation, keyList, keyPatch, keyRotation, keyView, keyWithSecret } from '#wire/keys.ts'
import { type Answer, jsonAnswer, type Operation } from '../operation.ts'
import { type CodeSample, shell } from '../samples.ts'
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
  "Only keys of the caller's own tenant can be reached; for all others the answer is 404. Administrators of the tenant `default` manage the whole installation and may choose another tenant with `?tenant=`."

const query = z.object({ tenant })
const params = z.object({ id: z.string().describe('The id of the key.') })
const keyed = { tag: 'Management', params, query } as const

function one(description: string, schema: z.ZodType, value: unknown): Answer {
  return jsonAnswer(description, schema, { key: { summary: 'A key', value } })
}

/** A program that makes a key and goes on with its id in `$ID`. */
function withKey(...lines: readonly string[]): CodeSample {
  const source = [
    `ID=$(curl ${BASE}/keys ${AUTH} \\`,
    `  -d '{ "name": "web" }' | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')`,
    ...lines,
  ]
  return shell(...source)
}

/** The operations on keys. */
export const keyOperations = {
  listKeys: {
    tag: 'Management',
    summary: 'List keys',
    description: `Lists the keys that were created at run time, the oldest first. Keys of the configuration are not listed. ${ONE_TENANT}`,
    query: query.extend({
      limit: pageSize(200, 50),
      after: z.string().optional().describe('The value of `next` on the page before.'),
    }),
    answers: {
      200: jsonAnswer('A page of keys; `next` is null on the last one.', keyList, {
        page: { summary: 'The last page', value: { data: [key], next: null } },
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'dependency_unavailable'],
    samples: [shell(`curl ${BASE}/keys ${AUTH}`)],
  },
  createKey: {
    tag: 'Management',
    summary: 'Create a key',
    description: `Creates a key. The key itself is shown only in this answer; the gateway stores a hash of it. ${ONE_TENANT}`,
    query,
    body: { schema: keyCreation, examples: { limited: { summary: 'A key with limits and a budget', value: created } } },
    answers: { 201: one('The key, with its secret.', keyWithSecret, { ...key, key: SECRET, signing_secret: null }) },
    passes: ['caller', 'body'],
    errors: ['dependency_unavailable'],
    samples: [shell(`curl ${BASE}/keys ${AUTH} \\\n  -d '{ "name": "web" }'`)],
  },
  showKey: {
    ...keyed,
    summary: 'Show a key',
    description: `Shows what a key may do, and whether it still works. ${ONE_TENANT}`,
    answers: { 200: one('The key, without its secret.', keyView, key) },
    passes: ['caller'],
    errors: ['invalid_request', 'not_found', 'dependency_unavailable'],
    samples: [withKey(`curl "${BASE}/keys/$ID" ${AUTH}`)],
  },
  updateKey: {
    ...keyed,
    summary: 'Change a key',
    description: `Changes the fields that the body names; all others stay as they are, also within \`limits\`. Every process applies the change within five seconds. ${ONE_TENANT}`,
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
    summary: 'Rotate a key',
    description: `Gives a key a new secret. Its id, limits, budget and history stay the same. The old secret works until \`overlap_seconds\` have passed, a day by default. ${ONE_TENANT}`,
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
    description: `Ends a key for good, together with the secret before its last rotation. Every process refuses it within five seconds. ${ONE_TENANT}`,
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
