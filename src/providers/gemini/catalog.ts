import type { Server } from '#core/servers.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import type { Catalog, ListedModel, Outgoing } from '../provider.ts'
import { toGeminiHeaders } from './request.ts'

/** The most models that Google gives on one page. */
const PAGE = 1000

/** How Gemini is probed and listed; the list costs no tokens. */
export const catalog: Catalog = {
  probes: server => [listFrom(server, server.secrets[0] ?? null, 'pageSize=1')],
  list: (server, secret) => listFrom(server, secret, `pageSize=${PAGE}`),
  next,
  decodeList,
}

function listFrom(server: Server, secret: string | null, query: string): Outgoing {
  const url = `${server.baseUrl}/models?${query}`
  return { method: 'GET', url, headers: toGeminiHeaders(server, secret), body: null }
}

function next(server: Server, secret: string | null, body: string): Outgoing | null {
  const value = parseJson(body)
  const token = isObject(value) ? value.nextPageToken : undefined
  if (typeof token !== 'string' || token === '') return null
  return listFrom(server, secret, `pageSize=${PAGE}&pageToken=${encodeURIComponent(token)}`)
}

/** An empty page has no `models` at all. */
function decodeList(body: string): readonly ListedModel[] {
  const value = parseJson(body)
  const models = isObject(value) ? (value.models ?? []) : undefined
  if (!Array.isArray(models)) throw new Error('the answer is no list of models')
  return models.filter(isObject).flatMap(toListedModel)
}

/** Reads a model; none for models that only make images, films or live conversations. */
function toListedModel(item: JsonObject): readonly ListedModel[] {
  const { name, supportedGenerationMethods: methods, inputTokenLimit: limit } = item
  if (typeof name !== 'string' || !Array.isArray(methods)) return []
  const chats = methods.includes('generateContent')
  if (!chats && !methods.includes('embedContent')) return []
  return [
    {
      id: name.replace(/^models\//, ''),
      contextLength: typeof limit === 'number' && limit > 0 ? limit : null,
      created: 0,
      ownedBy: 'google',
      embedding: !chats,
    },
  ]
}
