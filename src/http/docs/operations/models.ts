import { z } from '@hono/zod-openapi'
import { modelEntry, modelList, modelsStatus, providerList } from '#wire/models.ts'
import { jsonAnswer, type Operation } from '../operation.ts'
import { curlGet, node, python } from '../samples.ts'

const demo = {
  id: 'citadel-demo',
  object: 'model',
  created: 0,
  owned_by: 'demo',
  display_name: 'citadel-demo',
  class: null,
  context_length: null,
  capabilities: { tools: null, vision: null },
}

const status = {
  models: [
    {
      id: 'chat',
      class: 'heavyweight',
      status: 'degraded',
      targets: [
        {
          server: 'gpu-1',
          model: 'mixtral:8x7b',
          status: 'healthy',
          weight: 3,
          in_flight: 2,
          loaded: true,
          reason: null,
        },
        {
          server: 'gpu-2',
          model: 'mixtral:8x7b',
          status: 'unhealthy',
          weight: 1,
          in_flight: 0,
          loaded: null,
          reason: 'connection refused',
        },
      ],
      aliases: ['gpt-4o'],
      fallbacks: ['small'],
    },
  ],
}

const providers = {
  object: 'list',
  data: [{ id: 'ollama', object: 'provider', servers: [{ id: 'gpu-1', status: 'healthy', models: ['chat'] }] }],
}

/** The operations that tell what the gateway offers. */
export const modelOperations = {
  listModels: {
    tag: 'Models',
    summary: 'List models',
    description:
      'Lists every model that the caller may use, merged over all servers, under the names that callers ask for. It is answered from memory and never waits for a server.',
    answers: {
      200: {
        ...jsonAnswer('The models, by name.', modelList, {
          demo: { summary: 'Nothing but the demo model', value: { object: 'list', data: [demo] } },
        }),
        headers: ['x-citadel-gateway'],
      },
    },
    passes: ['caller'],
    samples: [
      curlGet('/v1/models'),
      node('for await (const model of client.models.list()) console.log(model.id)'),
      python('for model in client.models.list():\n    print(model.id)'),
    ],
  },
  retrieveModel: {
    tag: 'Models',
    summary: 'Get a model',
    description:
      'Gives one model by its public name or an alias. Names may contain `/` and `:`, encoded or as they are.',
    params: z.object({
      id: z.string().meta({ description: 'The name of the model.', examples: ['citadel-demo'] }),
    }),
    answers: {
      200: jsonAnswer('The model.', modelEntry, { demo: { summary: 'The demo model', value: demo } }),
    },
    passes: ['caller'],
    errors: ['model_not_found'],
    samples: [
      curlGet('/v1/models/citadel-demo'),
      node("console.log(await client.models.retrieve('citadel-demo'))"),
      python('print(client.models.retrieve("citadel-demo"))'),
    ],
  },
  listProviders: {
    tag: 'Models',
    summary: 'List servers by kind',
    description: 'Lists the servers behind the gateway, grouped by the dialect that they speak, with their health.',
    answers: {
      200: jsonAnswer('The kinds of servers.', providerList, {
        one: { summary: 'One Ollama server', value: providers },
      }),
    },
    passes: ['caller'],
    samples: [curlGet('/v1/providers')],
  },
  getModelsStatus: {
    tag: 'Models',
    summary: 'See which models can answer',
    description: 'Shows every model with its targets, their health and load, and why a target is out.',
    answers: {
      200: jsonAnswer('Every model and how its targets are.', modelsStatus, {
        degraded: { summary: 'One of two servers is away', value: status },
      }),
    },
    passes: ['caller'],
    samples: [curlGet('/models/status')],
  },
} as const satisfies Record<string, Operation>
