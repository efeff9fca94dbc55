import type { Call, Endpoint } from '#core/call.ts'
import type { Target } from '#core/servers.ts'
import type { JsonObject, JsonValue } from '#lib/json.ts'
import { toPostHeaders } from '../openai_compatible/request.ts'
import type { Outgoing } from '../provider.ts'
import { refuse, refuseUnsupported } from '../unsupported.ts'
import { toOllamaMessages } from './messages.ts'
import { isForced, toOllamaFormat, toOllamaOptions, toOllamaThink, toOllamaTools } from './options.ts'
import { droppedFrom } from './parameters.ts'
import { UNSUPPORTED } from './unsupported.ts'

const PATHS: Readonly<Record<Endpoint, string>> = {
  chat: '/api/chat',
  completions: '/api/generate',
  embeddings: '/api/embed',
}

/** Ollama's own fields, which callers may send through the gateway. */
const OWN_FIELDS = ['keep_alive', 'truncate', 'shift', 'raw', 'system', 'template', 'context'] as const

/** Builds the request of a call in Ollama's native API.
 *
 * @throws GatewayError `unsupported_parameter` for what Ollama cannot do. */
export function toOllamaRequest(call: Call, target: Target, secret: string | null): Outgoing {
  refuseUnsupported(call, UNSUPPORTED[call.endpoint])
  const dropped = droppedFrom(call.endpoint, call.body)
  return {
    method: 'POST',
    url: target.server.baseUrl + PATHS[call.endpoint],
    headers: toPostHeaders(call, target.server, secret, 'application/x-ndjson'),
    body: [JSON.stringify(toOllamaBody(call, target.upstreamModel))],
    dropped: call.endpoint === 'chat' && isForced(call.body) ? [...dropped, 'tool_choice'] : dropped,
  }
}

function toOllamaBody(call: Call, model: string): JsonObject {
  const { body, endpoint, stream } = call
  const own = Object.fromEntries(OWN_FIELDS.filter(name => body[name] !== undefined).map(name => [name, body[name]]))
  if (endpoint === 'embeddings') {
    return {
      ...own,
      model,
      input: toOllamaInput(body.input),
      dimensions: body.dimensions ?? undefined,
      options: body.options,
    }
  }
  const common = {
    ...own,
    model,
    stream,
    options: toOllamaOptions(body),
    format: toOllamaFormat(body),
    think: toOllamaThink(body, model),
  }
  if (endpoint === 'completions') {
    return { ...common, prompt: toOllamaPrompt(body.prompt), suffix: body.suffix ?? undefined, images: body.images }
  }
  return {
    ...common,
    messages: toOllamaMessages(body.messages),
    tools: toOllamaTools(body),
    logprobs: body.logprobs === true ? true : undefined,
    top_logprobs: body.logprobs === true ? (body.top_logprobs ?? undefined) : undefined,
  }
}

function toOllamaPrompt(prompt: JsonValue): string {
  const only = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt
  if (typeof only === 'string') return only
  if (!Array.isArray(only)) return ''
  throw refuse(
    'prompt',
    typeof only[0] === 'string' ? 'several prompts in one request' : 'prompts given as tokens',
    'send one text',
  )
}

/** Ollama only embeds text, and cannot turn tokens back into it. */
function toOllamaInput(input: JsonValue): JsonValue {
  const items = Array.isArray(input) ? input : [input]
  if (items.every(item => typeof item === 'string')) return input
  throw refuse(
    'input',
    'inputs given as tokens',
    'send text instead; LangChain does with check_embedding_ctx_length=False',
  )
}
