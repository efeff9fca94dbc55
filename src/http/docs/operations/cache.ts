import { cacheClearRequest, cacheClearResponse } from '#wire/cache.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { shell } from '../samples.ts'
import { AUTH, BASE } from './management.ts'

/** The operation of the cache. */
export const cacheOperations = {
  clearCache: {
    tag: 'Management',
    summary: 'Clear the cache',
    description:
      'Removes the stored answers that fit every field of the body; without fields, all of them: those of the own tenant, or of every tenant for an administrator of the tenant `default`. They leave Redis at once, and the memory of other nodes within five seconds. Running calls go on, and their answers may be stored afterwards.',
    body: {
      schema: cacheClearRequest,
      examples: {
        all: { summary: 'Everything', value: {} },
        tenant: { summary: 'What the keys of one tenant asked of one model', value: { tenant: 'shop', model: 'chat' } },
      },
    },
    answers: {
      200: jsonAnswer('The answers are removed.', cacheClearResponse, {
        cleared: { summary: 'Some were', value: { object: 'cache.cleared', cleared: 12 } },
      }),
    },
    passes: ['caller', 'body'],
    errors: ['dependency_unavailable'],
    samples: [shell(`curl ${BASE}/cache/clear \\\n  ${AUTH} -d '{ "model": "chat" }'`)],
  },
} as const satisfies Record<string, Operation>
