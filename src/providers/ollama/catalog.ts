import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import { toGet } from '../openai_compatible/catalog.ts'
import type { Catalog, ListedModel } from '../provider.ts'

/** How Ollama is probed and listed. */
export const catalog: Catalog = {
  probes(server) {
    const secret = server.secrets[0] ?? null
    return ['/api/version', '/api/tags'].map(path => toGet(server, server.baseUrl + path, secret))
  },
  list: (server, secret) => toGet(server, `${server.baseUrl}/api/tags`, secret),
  decodeList,
}

function decodeList(body: string): readonly ListedModel[] {
  const value = parseJson(body)
  if (!isObject(value) || !Array.isArray(value.models)) throw new Error('the answer is no list of models')
  return value.models.filter(isObject).flatMap(toListedModel)
}

function toListedModel(item: JsonObject): readonly ListedModel[] {
  const id = item.model ?? item.name
  if (typeof id !== 'string' || id === '') return []
  const details = isObject(item.details) ? item.details : {}
  const modified = Date.parse(String(item.modified_at))
  return [
    {
      id,
      contextLength: typeof details.context_length === 'number' ? details.context_length : null,
      created: modified > 0 ? Math.floor(modified / 1000) : 0,
      // `someone/model` is somebody's; what has no owner comes from Ollama's own library.
      ownedBy: id.includes('/') ? id.slice(0, id.indexOf('/')) : 'library',
      embedding: isEmbedding(id, item, details),
    },
  ]
}

/** Servers say it themselves since 2026; before, the architecture and the name tell. */
function isEmbedding(id: string, item: JsonObject, details: JsonObject): boolean {
  if (Array.isArray(item.capabilities)) return item.capabilities.includes('embedding')
  return /bert/i.test(String(details.family ?? '')) || /embed|minilm|bge-/i.test(id)
}
