import { distribution, explainRequest, routePlan, workload } from '#wire/routing.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { shell } from '../samples.ts'
import { AUTH } from './management.ts'

const request = { model: 'citadel-demo', messages: [{ role: 'user', content: 'Hello!' }] }
const described = { model: 'citadel-demo', requests: 12, prompt_tokens: 1200, max_tokens: 300 }

const planned = {
  request_id: 'batch-7',
  model_required: 'citadel-demo',
  priority: 'high',
  estimated_complexity: 0.7,
  client_info: { application: 'reports' },
  preferred_servers: ['gpu-2', 'gpu-1'],
}

const target = { model: 'chat', upstream_model: 'qwen3:8b', status: 'healthy' } as const
const excluded = [
  { server: 'gpu-3', model: 'chat', upstream_model: 'qwen3:8b', reason: 'its server is down: it cannot be reached' },
]
const outlook = {
  model: 'chat',
  strategy: 'least_busy',
  measure: 'calls in flight by weight; the better of two drawn at random comes first',
  excluded,
  refusal: null,
}

const plan = {
  object: 'plan',
  ...outlook,
  candidates: [
    { server: 'gpu-1', ...target, reason: 'target of chat', score: 1, in_flight: 1 },
    { server: 'gpu-2', ...target, reason: 'target of chat', score: 3, in_flight: 3 },
  ],
}

const spread = {
  object: 'distribution',
  request_id: null,
  ...outlook,
  requests: 12,
  waiting: 0,
  candidates: [
    { server: 'gpu-1', ...target, reason: 'target of chat', score: 1, in_flight: 1, requests: 7, share: 7 / 12 },
    { server: 'gpu-2', ...target, reason: 'target of chat', score: 3, in_flight: 3, requests: 5, share: 5 / 12 },
  ],
}

/** The operations that explain the routing. */
export const routingOperations = {
  explainRoute: {
    tag: 'Management',
    summary: 'See where a request would go',
    description:
      'Plans a request as if the caller of this operation had sent it. The answer lists the targets in the order in which they would be tried, the scores by which the strategy ranks them, and the targets that are left out and why. No server is called, and the turns of the strategies do not advance. If no target can answer, `refusal` is the error that the caller would get.',
    body: {
      schema: explainRequest,
      examples: {
        chat: { summary: 'A chat request', value: { request } },
        strategy: { summary: 'The same under another strategy', value: { request, strategy: 'auto' } },
      },
    },
    answers: {
      200: jsonAnswer('The plan.', routePlan, { plan: { summary: 'Two of three servers', value: plan } }),
    },
    passes: ['caller', 'body'],
    samples: [
      shell(
        `curl http://localhost:8000/management/route/explain ${AUTH} \\`,
        `  -d '{ "request": { "model": "citadel-demo", "messages": [{ "role": "user", "content": "Hello!" }] } }'`,
      ),
    ],
  },
  distributeWorkload: {
    tag: 'Orchestration',
    summary: 'See how a workload would be spread',
    description:
      'Plans a number of simultaneous requests, in addition to those that the servers are answering now. The answer says how many each target would get, and how many would wait for a place. No server is called, and the turns of the strategies do not advance.',
    body: {
      schema: workload,
      examples: {
        batch: { summary: 'A dozen requests', value: described },
        open: { summary: 'Long prompts with tools, for any model', value: { prompt_tokens: 20_000, tools: true } },
        planner: { summary: 'In the words of a planner of workloads', value: planned },
      },
    },
    answers: {
      200: jsonAnswer('The distribution.', distribution, {
        spread: { summary: 'Two of three servers', value: spread },
      }),
    },
    passes: ['caller', 'body'],
    samples: [
      shell(
        `curl http://localhost:8000/orchestration/workload/distribute ${AUTH} \\`,
        `  -d '{ "model": "citadel-demo", "requests": 12 }'`,
      ),
    ],
  },
} as const satisfies Record<string, Operation>
