import type { Call } from '#core/call.ts'
import type { Server, Target } from '#core/servers.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { toHeaders } from '../openai_compatible/request.ts'
import type { Outgoing } from '../provider.ts'
import { toGeminiContents } from './contents.ts'
import { toGeminiEmbeddings } from './embedding.ts'
import { toGenerationConfig } from './generation.ts'
import { droppedOf, isAsked } from './parameters.ts'
import { isGemini3, thinkingKindOf } from './thinking.ts'
import { type AskedTier, toGeminiTier } from './tier.ts'
import { toGeminiTools } from './tools.ts'

/** Builds the request of a call in Gemini's native API.
 *
 * @throws GatewayError `unsupported_parameter` for what Gemini cannot do. */
export function toGeminiRequest(call: Call, target: Target, secret: string | null): Outgoing {
  const { server, upstreamModel: model } = target
  const dropped = droppedOf(call)
  const embeds = call.endpoint === 'embeddings'
  const ignoresEffort = !embeds && call.body.reasoning_effort && thinkingKindOf(model) === 'none'
  const resource = resourceOf(model)
  const address = `${server.baseUrl}/${resource.split('/').map(encodeURIComponent).join('/')}`
  const tier = embeds ? null : toGeminiTier(call.body.service_tier, address)
  const method = embeds ? 'batchEmbedContents' : call.stream ? 'streamGenerateContent?alt=sse' : 'generateContent'
  return {
    method: 'POST',
    url: `${address}:${method}`,
    headers: { ...tier?.header, ...toPostHeaders(call, server, secret) },
    body: [JSON.stringify(embeds ? toGeminiEmbeddings(call.body, resource) : toGenerate(call.body, target, tier))],
    dropped: [
      ...dropped,
      ...(ignoresEffort ? ['reasoning_effort'] : []),
      ...(tier === null && !embeds && isAsked(call.body, 'service_tier') ? ['service_tier'] : []),
    ],
  }
}

/** The headers of any request. The key is in one of them, never in the address, which logs and proxies keep. */
export function toGeminiHeaders(server: Server, secret: string | null, accept?: string): Record<string, string> {
  const headers = toHeaders(server, null, accept)
  if (secret !== null) headers['x-goog-api-key'] ??= secret
  return headers
}

function toPostHeaders(call: Call, server: Server, secret: string | null): Record<string, string> {
  const accept = call.stream ? 'text/event-stream, application/json' : 'application/json'
  const headers = toGeminiHeaders(server, secret, accept)
  headers['content-type'] = 'application/json'
  if (call.traceparent !== null) headers.traceparent = call.traceparent
  return headers
}

/** The resource of a model; tuned ones are named with their collection. */
function resourceOf(model: string): string {
  return model.includes('/') ? model : `models/${model}`
}

function toGenerate(body: JsonObject, { server, upstreamModel: model }: Target, tier: AskedTier | null): JsonObject {
  const { contents, systemInstruction } = toGeminiContents(body.messages, {
    marksCalls: isGemini3(model),
    baseUrl: server.baseUrl,
  })
  const google = googleOf(body.extra_body)
  const config = toGenerationConfig(body, model, google.thinking_config)
  return {
    contents,
    systemInstruction,
    ...toGeminiTools(body),
    generationConfig: Object.keys(config).length > 0 ? config : undefined,
    safetySettings: google.safety_settings,
    cachedContent: google.cached_content,
    service_tier: tier?.field,
  }
}

/** Reads the parameters that Google's own OpenAI-compatible endpoint accepts beside OpenAI's. */
function googleOf(extra: JsonValue): JsonObject {
  return isObject(extra) && isObject(extra.google) ? extra.google : {}
}
