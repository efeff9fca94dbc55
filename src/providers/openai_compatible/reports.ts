import type { Server } from '#core/servers.ts'
import { isObject, parseJson } from '#lib/json.ts'
import type { Report } from '../provider.ts'
import { toHeaders } from './request.ts'

/** Calls being answered and calls waiting, as vLLM, llama.cpp, SGLang and TGI call them in their metrics. */
const GAUGES =
  /^(?:vllm:num_requests_(?:running|waiting)|llamacpp:requests_(?:processing|deferred)|sglang:num_(?:running|queue)_reqs|tgi_(?:batch_current|queue)_size)(?:\{[^}\n]*\})?[ \t]+([\d.eE+]+)/gm

/** What engines behind an OpenAI-compatible address are busy with: their metrics, else the slots of llama.cpp. */
export const reports: readonly Report[] = [
  { ask: (server, secret) => beside(server, '/metrics', secret), decode: decodeMetrics },
  { ask: (server, secret) => beside(server, '/slots', secret), decode: decodeSlots },
]

function beside(server: Server, path: string, secret: string | null) {
  const url = `${server.baseUrl.replace(/\?.*$/, '').replace(/\/v\d+$/, '')}${path}`
  return { method: 'GET' as const, url, headers: toHeaders(server, secret), body: null }
}

function decodeMetrics(body: string) {
  let calls: number | null = null
  for (const [, value] of body.matchAll(GAUGES)) calls = (calls ?? 0) + Number(value)
  return calls === null || Number.isNaN(calls) ? null : { calls, loaded: null }
}

/** Newer servers say `is_processing`, older ones a `state` that is 0 while idle. */
function decodeSlots(body: string) {
  const slots = parseJson(body)
  if (!Array.isArray(slots) || !slots.every(slot => isObject(slot) && ('is_processing' in slot || 'state' in slot))) {
    return null
  }
  return { calls: slots.filter(slot => slot.is_processing === true || slot.state === 1).length, loaded: null }
}
