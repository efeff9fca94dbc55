import type { Server } from '#core/servers.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import type { Catalog, ListedModel, Outgoing } from '../provider.ts'
import { reports } from './reports.ts'
import { endpointUrl, toHeaders } from './request.ts'

/** How OpenAI-compatible servers are probed and listed: `/health` (vLLM, llama.cpp), then the list of models. */
export const catalog: Catalog = {
  probes(server) {
    const secret = server.secrets[0] ?? null
    return [toGet(server, healthUrl(server.baseUrl), secret), list(server, secret)]
  },
  list,
  decodeList,
  reports,
}

/** The same for hosted services, which have only the list of models. */
export const listAlone: Catalog = {
  ...catalog,
  probes: server => [list(server, server.secrets[0] ?? null)],
  reports: [],
}

/** Builds a request without a body. */
export function toGet(server: Server, url: string, secret: string | null): Outgoing {
  return { method: 'GET', url, headers: toHeaders(server, secret), body: null }
}

function list(server: Server, secret: string | null): Outgoing {
  // The list stands beside Azure's deployments, not below one.
  return toGet(server, endpointUrl(server.baseUrl.replace(/\/deployments\/[^/?]+/, ''), '/models'), secret)
}

/** `/health` stands beside `/v1`, not below it. */
function healthUrl(baseUrl: string): string {
  return `${baseUrl.replace(/\?.*$/, '').replace(/\/v\d+$/, '')}/health`
}

function decodeList(body: string): readonly ListedModel[] {
  const value = parseJson(body)
  // Together answers with the bare list.
  const items = Array.isArray(value) ? value : isObject(value) ? (value.data ?? value.models) : undefined
  if (!Array.isArray(items)) throw new Error('the answer is no list of models')
  return items.filter(isObject).flatMap(toListedModel)
}

function toListedModel(item: JsonObject): readonly ListedModel[] {
  const id = item.id ?? item.model ?? item.name
  if (typeof id !== 'string' || id === '') return []
  return [
    {
      id,
      contextLength: contextLengthOf(item),
      created: typeof item.created === 'number' ? Math.floor(item.created) : 0,
      ownedBy: typeof item.owned_by === 'string' ? item.owned_by : null,
      embedding: isEmbedding(id, item),
      ...abilitiesOf(item),
    },
  ]
}

/** Reads the context length: vLLM, llama.cpp, OpenRouter, Groq, Mistral and LM Studio each have a name of their own. */
function contextLengthOf(item: JsonObject): number | null {
  const meta = isObject(item.meta) ? item.meta : {}
  const names: readonly JsonValue[] = [
    item.max_model_len,
    meta.n_ctx,
    meta.n_ctx_train,
    item.context_length,
    item.context_window,
    item.max_context_length,
  ]
  const found = names.find(value => typeof value === 'number' && value > 0)
  return typeof found === 'number' ? found : null
}

/** OpenRouter and llama.cpp list modalities, OpenRouter also parameters, Mistral has a word for each ability. */
function abilitiesOf(item: JsonObject): Pick<ListedModel, 'abilities'> {
  const { supported_parameters: parameters } = item
  const inputs = isObject(item.architecture) ? item.architecture.input_modalities : undefined
  const said = isObject(item.capabilities) ? item.capabilities : {}
  const abilities = {
    tools: Array.isArray(parameters) ? parameters.includes('tools') : booleanOf(said.function_calling),
    vision: Array.isArray(inputs) ? inputs.includes('image') : booleanOf(said.vision),
  }
  return abilities.tools === null && abilities.vision === null ? {} : { abilities }
}

function booleanOf(value: JsonValue): boolean | null {
  return typeof value === 'boolean' ? value : null
}

function isEmbedding(id: string, item: JsonObject): boolean {
  if (typeof item.type === 'string') return item.type.startsWith('embedding')
  const outputs = isObject(item.architecture) ? item.architecture.output_modalities : undefined
  if (Array.isArray(outputs) && outputs.includes('embeddings')) return true
  return /embed/i.test(id)
}
