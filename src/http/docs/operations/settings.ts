import type { z } from '@hono/zod-openapi'
import { configValues, managedModels, managedServers, reloaded } from '#wire/management.ts'
import { type Answer, jsonAnswer, type Operation } from '../operation.ts'
import { shell } from '../samples.ts'
import { AUTH, BASE } from './management.ts'

const target = {
  server: 'gpu-1',
  model: 'mixtral:8x7b',
  status: 'healthy',
  weight: 1,
  in_flight: 2,
  loaded: true,
  reason: null,
}

function page(description: string, schema: z.ZodType, entry: unknown): Answer {
  const value = { data: [entry], next: null }
  return jsonAnswer(description, schema, { page: { summary: 'A page', value } })
}

/** The operations on the configuration, and on what it makes of the fleet. */
export const settingsOperations = {
  listManagedModels: {
    tag: 'Management',
    summary: 'List models',
    description: 'Every model of the gateway, with the health and load of its targets.',
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
    samples: [shell(`curl ${BASE}/models/list ${AUTH}`)],
  },
  getServersStatus: {
    tag: 'Management',
    summary: 'List servers',
    description: 'The same list as `/orchestration/servers/list`; it always needs a key.',
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
    samples: [shell(`curl ${BASE}/servers/status ${AUTH}`)],
  },
  getConfig: {
    tag: 'Management',
    summary: 'See the configuration',
    description:
      'Every value in force, and where it comes from. Secrets are left out. Only the tenant `default` sees the keys, limits and budgets of other tenants.',
    answers: {
      200: page('The values, always as one page.', configValues, {
        key: 'service.port',
        value: 8000,
        origin: 'gateway.yaml:3:9',
      }),
    },
    passes: ['caller'],
    samples: [shell(`curl ${BASE}/config ${AUTH}`)],
  },
  reloadConfig: {
    tag: 'Management',
    summary: 'Reload the configuration',
    description:
      'Reads the configuration files, the environment files and the files of secrets again, as SIGHUP does. A wrong configuration changes nothing; `details` of the error lists every mistake.',
    answers: {
      200: jsonAnswer('The configuration is in force.', reloaded, {
        reloaded: { summary: 'Nothing to add', value: { reloaded: true, warnings: [], restart: [] } },
      }),
    },
    passes: ['caller'],
    errors: ['invalid_request', 'conflict'],
    samples: [shell(`curl -X POST ${BASE}/config/reload ${AUTH}`)],
  },
} as const satisfies Record<string, Operation>
