import { z } from 'zod'
import { modelClasses } from './gateway.ts'
import { hedgingOverrides, timeoutOverrides } from './resilience.ts'
import {
  boolean,
  choice,
  headerSecret,
  headers,
  httpUrl,
  identifier,
  integer,
  modelName,
  number,
  proxyUrl,
  text,
} from './scalars.ts'

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
  ca_file: text().nullable().default(null).describe('Authorities to trust, PEM; in place of those that are usual.'),
  cert_file: text().nullable().default(null).describe('The certificate that the gateway shows, PEM.'),
  key_file: text().nullable().default(null).describe('Its key, PEM.'),
  server_name: text().nullable().default(null).describe('The name in the certificate, where base_url has another.'),
})

export const server = z
  .strictObject({
    id: identifier().describe('The name of the server in targets, logs and metrics.'),
    kind: choice(knownKinds).describe('The dialect that the server speaks.'),
    base_url: httpUrl().nullable().default(null).describe('The address; not needed where the kind has one of its own.'),
    role: text().nullable().default(null).describe('What the server is for, such as primary or business.'),
    weight: number({ min: 0 }).default(1).describe('Its share of the load, relative to other servers.'),
    max_concurrent: integer().default(0).describe('Requests at once; 0 for no limit.'),
    timeouts: timeoutOverrides,
    api_key: headerSecret().nullable().default(null).describe('The key to send to the server.'),
    api_keys: z.array(headerSecret()).default([]).describe('Several keys; one that is refused or limited makes way.'),
    api_key_file: text().nullable().default(null).describe('A file that holds the key.'),
    headers: headers().default({}).describe('Headers sent with every request to the server.'),
    tls: tls.nullable().default(null).describe('How https to this address is secured, for all servers that have it.'),
    proxy: proxyUrl().nullable().default(null).describe('The proxy before this address, for all servers that have it.'),
  })
  .transform(({ api_key, api_key_file: _, ...rest }) => ({
    ...rest,
    api_keys: api_key === null || rest.api_keys.includes(api_key) ? rest.api_keys : [api_key, ...rest.api_keys],
  }))

/** The highest price, in dollars for a million tokens. More than a dollar for each token is a typing mistake, and the
 * sums would be more than a database can count. */
const AMOUNT_MAX = 1_000_000
const amount = () => number({ min: 0, max: AMOUNT_MAX }).nullable().default(null)

const price = z.strictObject({
  input: amount().describe('USD per million tokens read.'),
  output: amount().describe('USD per million tokens written.'),
  cache_read: amount().describe('USD per million tokens read from the cache of the provider.'),
  cache_write: amount().describe('USD per million tokens written to the cache of the provider.'),
  request: amount().describe('USD per request.'),
})

const target = z.strictObject({
  server: identifier().describe('The id of a server.'),
  model: text().nullable().default(null).describe('The name of the model there; the public name when absent.'),
  weight: number({ min: 0 }).default(1).describe('Its share of the load beside other targets.'),
  max_concurrent: integer().default(0).describe('Requests at once; 0 for no limit.'),
  price: price.nullable().default(null).describe('What it costs; null when unknown.'),
})

const capabilities = z
  .strictObject({
    context_length: integer({ min: 1 }).nullable().default(null).describe('Tokens of prompt and answer together.'),
    tools: boolean().nullable().default(null).describe('Whether it can call tools.'),
    vision: boolean().nullable().default(null).describe('Whether it can read images.'),
    prefill: boolean().default(false).describe('Whether it continues an answer that was begun.'),
  })
  .prefault({})

const model = z.strictObject({
  endpoint: httpUrl().nullable().default(null).describe('Short for one OpenAI-compatible server with this model.'),
  weight: number({ min: 0 }).default(1).describe('Its share of the load when the gateway chooses the model.'),
  max_concurrent: integer().default(0).describe('Requests at once at the endpoint; 0 for no limit.'),
  cost_per_request: amount().describe('USD per request at the endpoint.'),
  targets: z.array(target).default([]).describe('Where the model lives.'),
  fallbacks: z.array(modelName()).default([]).describe('Models that answer when no target does.'),
  aliases: z.array(modelName()).default([]).describe('Other names for the model.'),
  class: choice(modelClasses).nullable().default(null).describe('The class, for preferences and limits.'),
  display_name: text().nullable().default(null).describe('The name that people read.'),
  cache: boolean().default(true).describe('Whether its answers may be stored and shared.'),
  capabilities: capabilities.describe('What the model can do; null when unknown.'),
  timeouts: timeoutOverrides,
  hedging: hedgingOverrides,
})

export const servers = z.array(server).default([]).describe('Machines that answer: their own or rented ones.')

export const models = z
  .record(modelName(), model)
  .default({})
  .transform(withUpstreamNames)
  .describe('Public model names and where each is answered.')

type Target = Omit<z.output<typeof target>, 'model'> & { model: string }
type Model = Omit<z.output<typeof model>, 'targets'> & { targets: Target[] }

function withUpstreamNames(all: Record<string, z.output<typeof model>>): Record<string, Model> {
  const named: Record<string, Model> = {}
  for (const [name, one] of Object.entries(all))
    named[name] = { ...one, targets: one.targets.map(each => ({ ...each, model: each.model ?? name })) }
  return named
}
