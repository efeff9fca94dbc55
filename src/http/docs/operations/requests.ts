import { z } from '@hono/zod-openapi'
import { requestReport } from '#wire/requests.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { shell } from '../samples.ts'

const ID = '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f'

const target = { model: 'chat', upstream_model: 'qwen3:8b', reason: 'target of chat' }

const nothing = { dropped_parameters: [] }

const failedOver = {
  id: ID,
  object: 'request',
  started_at: '2026-11-21T09:00:00.000Z',
  outcome: 'ok',
  status: 200,
  code: null,
  route: '/v1/chat/completions',
  caller: 'web',
  stream: false,
  model: 'chat',
  server: 'gpu-2',
  upstream_model: 'qwen3:8b',
  strategy: 'round_robin',
  candidates: [
    { server: 'gpu-1', ...target },
    { server: 'gpu-2', ...target },
  ],
  excluded: [],
  skipped: [],
  attempts: [
    { server: 'gpu-1', upstream_model: 'qwen3:8b', started_ms: 0.4, ms: 12.1, result: 'upstream_error', ...nothing },
    { server: 'gpu-2', upstream_model: 'qwen3:8b', started_ms: 12.6, ms: 802.3, result: 'ok', ...nothing },
  ],
  timings: { queue_ms: 0, dialled_ms: 0.5, first_token_ms: 814.9, answered_ms: 815, total_ms: 815.2, gateway_ms: 0.7 },
  usage: { input: 12, cache_read: 0, cache_write: 0, output: 34, reasoning: 0, estimated: false },
  cache: null,
  saved_tokens: 0,
  saved_usd: 0,
  cost_usd: 0.0000125,
  content_chars: 121,
  events_skipped: 0,
}

const CALL_AND_ASK = shell(
  'ID=$(curl -D - -o /dev/null http://localhost:8000/v1/chat/completions \\',
  `  -d '{ "model": "citadel-demo", "messages": [{ "role": "user", "content": "Hello!" }] }' |`,
  "  tr -d '\\r' | sed -n 's/^x-request-id: //p')",
  'curl "http://localhost:8000/v1/requests/$ID"',
)

/** The operation of `/v1/requests/{id}`. */
export const requestOperations = {
  getRequest: {
    tag: 'Inference',
    summary: 'See what happened to a request',
    description:
      'Which servers could answer and why, what was tried in which order and how each attempt ended, the timings, the tokens and the outcome. The id is the `x-request-id` of the answer. A key sees its own requests, one with the role viewer or more sees all; callers without a key see those of their address. Only the last requests are remembered. Prompts and answers are not.',
    params: z.object({ id: z.string().describe('The id of the request, from `x-request-id`.') }),
    answers: {
      200: jsonAnswer(
        'What is known of the request; `outcome` is `running` while it is being answered.',
        requestReport,
        { failover: { summary: 'The second server answered', value: failedOver } },
      ),
    },
    passes: ['caller'],
    errors: ['not_found'],
    samples: [CALL_AND_ASK],
  },
} as const satisfies Record<string, Operation>
