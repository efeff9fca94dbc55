import { z } from 'zod'
import { MODEL_CLASSES } from '#wire/models.ts'
import { httpUrl, proxyUrl } from './addresses.ts'
import { amount, price } from './prices.ts'
import { hedgingOverrides, timeoutOverrides } from './resilience.ts'
import { boolean, choice, headerSecret, headers, identifier, integer, modelName, number, text } from './scalars.ts'

/** The kinds of servers: the dialects, and `service` for servers that are only watched and answer no model call. */
const knownKinds = [
  'openai',
  'openai_compatible',
  'ollama',
  'anthropic',
  'gemini',
  'deepseek',
  'demo',
  'service',
] as const

const tls = z.strictObject({
  ca_file: text()
    .nullable()
    .default(null)
    .describe(
      'A PEM file with the certificate authorities to trust, in place of the usual ones. null: the usual ones.',
    ),
  cert_file: text()
    .nullable()
    .default(null)
    .describe('A PEM file with the client certificate of the gateway, for servers that ask for one.'),
  key_file: text().nullable().default(null).describe('A PEM file with the private key of cert_file.'),
  server_name: text()
    .nullable()
    .default(null)
    .describe('The host name that the certificate of the server must have, if it differs from the one in base_url.'),
})

export const server = z
  .strictObject({
    id: identifier().describe('The name of the server in targets, logs and metrics, such as gpu-1.'),
    kind: choice(knownKinds).describe(
      'The API that the server speaks, such as ollama; service is for a server that is only watched.',
    ),
    base_url: httpUrl()
      .nullable()
      .default(null)
      .describe(
        'The address, such as http://10.0.0.34:11434. Only openai_compatible and service need it; other kinds have one of their own.',
      ),
    role: text()
      .nullable()
      .default(null)
      .describe('What the server is for, in words of your own, such as primary or business.'),
    weight: number({ min: 0 })
      .default(1)
      .describe(
        'The share of the load compared with other servers: 2 gets twice as much as 1, and 0 only what no other can take.',
      ),
    max_concurrent: integer().default(0).describe('How many requests the server gets at the same time; 0: no limit.'),
    timeouts: timeoutOverrides,
    api_key: headerSecret().nullable().default(null).describe('The API key that the gateway sends to the server.'),
    api_keys: z
      .array(headerSecret())
      .default([])
      .describe(
        'Several API keys. The first that works is used; when the server refuses or rate-limits it, the next one is.',
      ),
    api_key_file: text()
      .nullable()
      .default(null)
      .describe('A file that holds the API key, such as /run/secrets/openai.'),
    headers: headers()
      .default({})
      .describe('Headers that are added to every request to the server: a map of names to values.'),
    tls: tls
      .nullable()
      .default(null)
      .describe('TLS settings for https. They apply to every server with the same host and port.'),
    proxy: proxyUrl()
      .nullable()
      .default(null)
      .describe(
        'The HTTP proxy to go through, such as http://user:password@proxy:3128. It applies to every server with the same host and port.',
      ),
  })
  .transform(({ api_key, api_key_file: _, ...rest }) => ({
    ...rest,
    api_keys: api_key === null || rest.api_keys.includes(api_key) ? rest.api_keys : [api_key, ...rest.api_keys],
  }))

const target = z.strictObject({
  server: identifier().describe('The id of a server under servers.'),
  model: text().nullable().default(null).describe('The name of the model on that server. null: the public name.'),
  weight: number({ min: 0 })
    .default(1)
    .describe(
      'The share of the load compared with other targets: 2 gets twice as much as 1, and 0 only what no other can take.',
    ),
  max_concurrent: integer().default(0).describe('How many requests the target gets at the same time; 0: no limit.'),
  price: price
    .nullable()
    .default(null)
    .describe('What the model costs on that server. null: the price in config/models.yaml, if it is known there.'),
})

const capabilities = z
  .strictObject({
    context_length: integer({ min: 1 })
      .nullable()
      .default(null)
      .describe('The most tokens that prompt and answer may have together. null: as the server reports it.'),
    tools: boolean()
      .nullable()
      .default(null)
      .describe('Whether the model can call tools. null: as the server reports it; if it does not, it is tried.'),
    vision: boolean()
      .nullable()
      .default(null)
      .describe('Whether the model can read images. null: as the server reports it; if it does not, it is tried.'),
    prefill: boolean()
      .default(false)
      .describe(
        'Whether every server of the model can continue a partial answer, so that a stream that breaks off can go on.',
      ),
  })
  .prefault({})

const model = z.strictObject({
  endpoint: httpUrl()
    .nullable()
    .default(null)
    .describe('The address of one OpenAI-compatible server: a short form for a server and a target.'),
  weight: number({ min: 0 })
    .default(1)
    .describe(
      'The share of the load compared with other models, when the gateway chooses the model (gateway.intelligent_routing).',
    ),
  max_concurrent: integer().default(0).describe('How many requests the endpoint gets at the same time; 0: no limit.'),
  cost_per_request: amount().describe('US dollars per request at the endpoint; its tokens then cost nothing extra.'),
  targets: z.array(target).default([]).describe('The servers that answer for the model.'),
  fallbacks: z
    .array(modelName())
    .default([])
    .describe('Models that are tried, in this order, when no target of this one answers.'),
  aliases: z
    .array(modelName())
    .default([])
    .describe('Other names under which callers may ask for the model, such as gpt-4o.'),
  class: choice(MODEL_CLASSES)
    .nullable()
    .default(null)
    .describe('The class of the model, for gateway.classes and limits.per_class.'),
  display_name: text()
    .nullable()
    .default(null)
    .describe('The name of the model for people, as the list of models shows it.'),
  cache: boolean()
    .default(true)
    .describe('Whether answers of the model may be stored in the cache and shared with equal calls.'),
  capabilities: capabilities.describe('What the model can do.'),
  timeouts: timeoutOverrides,
  hedging: hedgingOverrides,
})

export const servers = z.array(server).default([]).describe('The model servers, your own and those of providers.')

export const models = z
  .record(modelName(), model)
  .default({})
  .transform(withUpstreamNames)
  .describe('The models that callers may ask for, by public name, and the servers that answer for each.')

type Target = Omit<z.output<typeof target>, 'model'> & { model: string }
type Model = Omit<z.output<typeof model>, 'targets'> & { targets: Target[] }

function withUpstreamNames(all: Record<string, z.output<typeof model>>): Record<string, Model> {
  const named: Record<string, Model> = {}
  for (const [name, one] of Object.entries(all))
    named[name] = { ...one, targets: one.targets.map(each => ({ ...each, model: each.model ?? name })) }
  return named
}
