import { cacheClearRequest, cacheClearResponse } from '#wire/cache.ts'
import type { Operation } from '../operation.ts'
import type { CodeSample } from '../samples.ts'

const CLEAR: CodeSample = {
  lang: 'bash',
  label: 'curl',
  source: [
    'curl http://localhost:8000/management/cache/clear \\',
    '  -H "authorization: Bearer $CITADEL_ADMIN_KEY" -d \'{ "model": "chat" }\'',
  ].join('\n'),
}

/** The operation of the cache. */
export const cacheOperations = {
  clearCache: {
    tag: 'Management',
    summary: 'Forget stored answers',
    description:
      'Forgets the answers that fit every field of the body, or all of them without one: of the own tenant, or of every tenant for an administrator of the tenant `default`. With Redis they are taken out of it at once, and out of the memory of the other nodes within five seconds. Answers that are under way are not stopped, and may be stored afterwards.',
    body: {
      schema: cacheClearRequest,
      examples: {
        all: { summary: 'Everything', value: {} },
        tenant: { summary: 'What the keys of one tenant asked of one model', value: { tenant: 'shop', model: 'chat' } },
      },
    },
    answers: {
      200: {
        description: 'The answers are forgotten.',
        content: [
          {
            type: 'application/json',
            schema: cacheClearResponse,
            examples: { cleared: { summary: 'Some were', value: { object: 'cache.cleared', cleared: 12 } } },
          },
        ],
      },
    },
    passes: ['caller', 'body'],
    errors: ['dependency_unavailable'],
    samples: [CLEAR],
  },
} as const satisfies Record<string, Operation>
