import type { Abilities, Server } from '#core/servers.ts'
import { isObject, type JsonObject, type JsonValue, parseJson } from '#lib/json.ts'
import { toGet } from '../openai_compatible/catalog.ts'
import { toHeaders } from '../openai_compatible/request.ts'
import type { Catalog, ListedModel, Outgoing } from '../provider.ts'

/** The probes of Ollama, and its list of models. */
export const catalog: Catalog = {
  probes(server) {
    const secret = server.secrets[0] ?? null
    return ['/api/version', '/api/tags'].map(path => toGet(server, server.baseUrl + path, secret))
  },
  list: (server, secret) => toGet(server, `${server.baseUrl}/api/tags`, secret),
  decodeList,
  details: {
    model: (server, secret, id) => post(server, '/api/show', secret, { model: id }),
    decodeModel,
    loaded: running,
    decodeLoaded: body => new Set(modelsIn(body).flatMap(idOf)),
  },
  reports: [{ ask: running, decode: decodeRunning }],
  // A call without a prompt only loads the model.
  load: (server, secret, model, embedding) =>
    embedding
      ? post(server, '/api/embed', secret, { model, input: [] })
      : post(server, '/api/generate', secret, { model, stream: false }),
}

function running(server: Server, secret: string | null): Outgoing {
  return toGet(server, `${server.baseUrl}/api/ps`, secret)
}

function post(server: Server, path: string, secret: string | null, body: object): Outgoing {
  return {
    method: 'POST',
    url: server.baseUrl + path,
    headers: { ...toHeaders(server, secret), 'content-type': 'application/json' },
    body: [JSON.stringify(body)],
  }
}

const LATEST = ':latest'

/** Reads the answer of `/api/ps`. A name without a tag means `:latest`, so a model with that tag has two names. */
function decodeRunning(body: string) {
  const value = parseJson(body)
  if (!isObject(value) || !Array.isArray(value.models)) return null
  const names = modelsIn(body).flatMap(idOf)
  const short = names.filter(name => name.endsWith(LATEST)).map(name => name.slice(0, -LATEST.length))
  return { calls: null, loaded: [...names, ...short] }
}

/** Reads the answer of `/api/show`. Keys contain the architecture, such as `llama.context_length`. */
function decodeModel(body: string): Partial<ListedModel> {
  const value = parseJson(body)
  if (!isObject(value)) return {}
  const info = isObject(value.model_info) ? value.model_info : {}
  const key = Object.keys(info).find(name => name.endsWith('.context_length'))
  const length = key === undefined ? undefined : info[key]
  const said = value.capabilities
  return {
    ...(typeof length === 'number' && length > 0 && { contextLength: length }),
    ...(Array.isArray(said) && { embedding: said.includes('embedding'), abilities: abilitiesOf(said) }),
  }
}

function abilitiesOf(said: readonly JsonValue[]): Partial<Abilities> {
  return { tools: said.includes('tools'), vision: said.includes('vision') }
}

function modelsIn(body: string): readonly JsonObject[] {
  const value = parseJson(body)
  return isObject(value) && Array.isArray(value.models) ? value.models.filter(isObject) : []
}

function idOf(item: JsonObject): readonly string[] {
  const id = item.model ?? item.name
  return typeof id === 'string' && id !== '' ? [id] : []
}

function decodeList(body: string): readonly ListedModel[] {
  const value = parseJson(body)
  if (!isObject(value) || !Array.isArray(value.models)) throw new Error('the answer is no list of models')
  return value.models.filter(isObject).flatMap(item => idOf(item).map(id => toListedModel(id, item)))
}

function toListedModel(id: string, item: JsonObject): ListedModel {
  const details = isObject(item.details) ? item.details : {}
  const modified = Date.parse(String(item.modified_at))
  return {
    id,
    contextLength: typeof details.context_length === 'number' ? details.context_length : null,
    created: modified > 0 ? Math.floor(modified / 1000) : 0,
    // In `someone/model` the owner is named; models without an owner come from Ollama's own library.
    ownedBy: id.includes('/') ? id.slice(0, id.indexOf('/')) : 'library',
    embedding: isEmbedding(id, item, details),
    ...(Array.isArray(item.capabilities) && { abilities: abilitiesOf(item.capabilities) }),
  }
}

/** Whether a model makes embeddings. Servers say so since 2026; for older ones the architecture and the name decide. */
function isEmbedding(id: string, item: JsonObject, details: JsonObject): boolean {
  if (Array.isArray(item.capabilities)) return item.capabilities.includes('embedding')
  return /bert/i.test(String(details.family ?? '')) || /embed|minilm|bge-/i.test(id)
}
