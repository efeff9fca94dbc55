import type { Server } from '#core/servers.ts'
import { isObject, type JsonObject, parseJson } from '#lib/json.ts'
import type { Catalog, ListedModel } from '../provider.ts'
import { toAnthropicGet } from './request.ts'

/** The most models that one page of the list holds. */
const PAGE = 1000

/** How the API is probed and listed. Neither costs tokens. */
export const catalog: Catalog = {
  probes: server => [toAnthropicGet(server, '/models?limit=1', server.secrets[0] ?? null)],
  list: (server, secret) => toAnthropicGet(server, `/models?limit=${PAGE}`, secret),
  next: (server, secret, body) => toNextPage(server, secret, parseJson(body)),
  decodeList,
}

function toNextPage(server: Server, secret: string | null, page: unknown) {
  if (!isObject(page) || page.has_more !== true || typeof page.last_id !== 'string') return null
  return toAnthropicGet(server, `/models?limit=${PAGE}&after_id=${encodeURIComponent(page.last_id)}`, secret)
}

function decodeList(body: string): readonly ListedModel[] {
  const value = parseJson(body)
  if (!isObject(value) || !Array.isArray(value.data)) throw new Error('the answer is no list of models')
  return value.data.filter(isObject).flatMap(toListedModel)
}

function toListedModel({ id, created_at, max_input_tokens }: JsonObject): readonly ListedModel[] {
  if (typeof id !== 'string' || id === '') return []
  const created = Date.parse(String(created_at))
  return [
    {
      id,
      contextLength: typeof max_input_tokens === 'number' && max_input_tokens > 0 ? max_input_tokens : null,
      created: created > 0 ? Math.floor(created / 1000) : 0,
      ownedBy: 'anthropic',
      embedding: false,
    },
  ]
}
