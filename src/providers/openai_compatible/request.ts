import type { Delivered } from '#core/attempt.ts'
import type { Call, Endpoint } from '#core/call.ts'
import type { Server, Target } from '#core/servers.ts'
import { estimateTokens } from '#core/usage.ts'
import {
  type Change,
  isObject,
  type JsonObject,
  type Member,
  nameToJson,
  patchMembers,
  topLevelMembers,
} from '#lib/json.ts'
import type { Outgoing, Pieces } from '../provider.ts'
import { CACHE_MARK, withoutCacheMarks } from './cache-marks.ts'
import { toMessages } from './messages.ts'
import { type Service, serviceFor, serviceOf } from './services.ts'

const PATHS: Readonly<Record<Endpoint, string>> = {
  chat: '/chat/completions',
  completions: '/completions',
  embeddings: '/embeddings',
}

/** Fields of the body that are the gateway's own. */
const OWN_FIELDS = ['fallbacks', 'cache'] as const
/** Asks for the usage of a stream. Always sent, because accounting needs the usage even if the caller does not ask. */
const WITH_USAGE = '{"include_usage":true}'

/** Builds the request of a call.
 *
 * @param delivered What the answer begins with: the server is asked to go on from there.
 * @param service What the server takes; found by its address and the model when absent. */
export function toRequest(
  call: Call,
  target: Target,
  secret: string | null,
  delivered?: Delivered,
  service: Service = serviceFor(target),
): Outgoing {
  const asked = delivered === undefined ? call : toContinuation(call, delivered)
  const outgoing = {
    method: 'POST',
    url: callUrl(target, call.endpoint),
    headers: toPostHeaders(call, target.server, secret, 'text/event-stream'),
    body: toBody(asked, target.upstreamModel, service),
  } as const
  if (service.dropped.length === 0 || call.endpoint !== 'chat') return outgoing
  return { ...outgoing, dropped: droppedOf(call, service) }
}

function droppedOf({ body }: Call, { dropped }: Service): readonly string[] {
  return dropped.filter(name => (body[name] ?? null) !== null)
}

/** The headers of a model call; nothing that the caller's client sent is among them.
 *
 * @param streamType The media type of the dialect's streams. */
export function toPostHeaders(
  call: Call,
  server: Server,
  secret: string | null,
  streamType: string,
): Readonly<Record<string, string>> {
  // A server that fails before its stream begins answers with JSON, so that stays acceptable.
  const accept = call.stream ? `${streamType}, application/json` : 'application/json'
  const usual = usualHeaders(server, secret, accept)
  return call.traceparent === null ? usual : { ...usual, traceparent: call.traceparent }
}

/** The headers of the last kind of call to each server: nearly all are of one kind. */
const usual = new WeakMap<
  Server,
  { readonly secret: string | null; readonly headers: Readonly<Record<string, string>> }
>()

/** One frozen object for all calls of a kind, so that the transport writes it once. */
function usualHeaders(server: Server, secret: string | null, accept: string): Readonly<Record<string, string>> {
  const known = usual.get(server)
  if (known !== undefined && known.secret === secret && known.headers.accept === accept) return known.headers
  const headers = Object.freeze({ ...toHeaders(server, secret, accept), 'content-type': 'application/json' })
  usual.set(server, { secret, headers })
  return headers
}

/** The headers of any request to a server. The server's configured ones win. */
export function toHeaders(server: Server, secret: string | null, accept = 'application/json'): Record<string, string> {
  // Compressed streams arrive in lumps, and inflating them costs more than the bytes saved inside a data centre.
  const headers: Record<string, string> = { accept, 'accept-encoding': 'identity' }
  if (secret !== null) {
    const { keyHeader } = serviceOf(server)
    headers[keyHeader] = keyHeader === 'authorization' ? `Bearer ${secret}` : secret
  }
  for (const name in server.headers) headers[name.toLowerCase()] = server.headers[name] ?? ''
  return headers
}

/** Appends a path to a base address, before its query when it has one (`?api-version=…`). */
export function endpointUrl(baseUrl: string, path: string): string {
  const query = baseUrl.indexOf('?')
  return query < 0 ? baseUrl + path : baseUrl.slice(0, query) + path + baseUrl.slice(query)
}

/** The address of each endpoint of a target: one text for all its calls, which the transport knows again at once. */
const urls = new WeakMap<Target, Partial<Record<Endpoint, string>>>()

function callUrl(target: Target, endpoint: Endpoint): string {
  let known = urls.get(target)
  if (known === undefined) {
    known = {}
    urls.set(target, known)
  }
  known[endpoint] ??= writeCallUrl(target, PATHS[endpoint])
  return known[endpoint]
}

/** Azure's older paths name the deployment, unless the configured address does. */
function writeCallUrl({ server, upstreamModel }: Target, path: string): string {
  const isUnnamed = server.baseUrl.includes('/openai?api-version=')
  return endpointUrl(server.baseUrl, isUnnamed ? `/deployments/${encodeURIComponent(upstreamModel)}${path}` : path)
}

/** The call that goes on from the beginning of its answer. llama.cpp continues a last message of the assistant by
 * itself; vLLM and SGLang are asked for it. */
function toContinuation(call: Call, { text }: Delivered): Call {
  const { messages, max_tokens, max_completion_tokens } = call.body
  const rest = (limit: unknown) =>
    typeof limit === 'number' ? Math.max(1, limit - estimateTokens(text.length)) : undefined
  const body = {
    ...call.body,
    messages: [...(Array.isArray(messages) ? messages : []), { role: 'assistant', content: text }],
    continue_final_message: true,
    add_generation_prompt: false,
    max_tokens: rest(max_tokens),
    max_completion_tokens: rest(max_completion_tokens),
  }
  return { ...call, source: null, body }
}

/** The body as it goes upstream: the caller's own bytes with what must differ patched, or the object written anew. */
function toBody(call: Call, model: string, service: Service): Pieces {
  const { source, body } = call
  const changes = changesOf(call, model, service)
  const members = source === null ? null : patchable(source)
  if (source !== null && members !== null) {
    return changes.length === 0 ? [source] : patchMembers(source, members, changes)
  }
  const changed = changes.map(({ key, text }) => [key, text === null ? undefined : JSON.parse(text)])
  return [JSON.stringify({ ...body, ...Object.fromEntries(changed) })]
}

/** The members of a text that may go on, because what was checked is certain to be what a server will read in it. */
function patchable(text: string): readonly Member[] | null {
  // One character is found eight times as fast as four, which matters where it is not there.
  return text.includes('\\') && text.includes('\\u00') ? null : topLevelMembers(text)
}

/** The members that must differ from the caller's body. */
function changesOf(call: Call, model: string, service: Service): readonly Change[] {
  const { body } = call
  const changes: Change[] = []
  if (body.model !== model) change(changes, 'model', nameToJson(model))
  for (const name of OWN_FIELDS) if (body[name] !== undefined) change(changes, name, null)
  if (call.stream) askForUsage(call, service, changes)
  if (call.endpoint === 'chat') fitTo(service, call, changes)
  return changes
}

/** Notes the new value of a member; the last one noted counts. A list, because there are two or three at most. */
function change(changes: Change[], key: string, text: string | null): void {
  const at = changes.findIndex(known => known.key === key)
  if (at < 0) changes.push({ key, text })
  else changes[at] = { key, text }
}

function askForUsage({ body }: Call, service: Service, changes: Change[]): void {
  const options = isObject(body.stream_options) ? body.stream_options : null
  if (service.countsUnasked) {
    if (body.stream_options !== undefined) change(changes, 'stream_options', null)
  } else if (options === null) change(changes, 'stream_options', WITH_USAGE)
  // Written anew also where it asks already: it may hold an earlier `false` besides, which some servers read.
  else change(changes, 'stream_options', JSON.stringify({ ...options, include_usage: true }))
}

/** Who refuses fields that it does not know does so where they are null, too: clients write that for what is not set.
 * What was noted before stays, such as the model that a caller left to the gateway. */
function leaveOutNulls(body: JsonObject, changes: Change[]): void {
  const noted = changes.map(({ key }) => key)
  for (const key in body) if (body[key] === null && !noted.includes(key)) changes.push({ key, text: null })
}

/** Changes a chat to the parameters and messages that a service accepts. */
function fitTo(service: Service, { body }: Call, changes: Change[]): void {
  if (service.messageFields.length > 0) leaveOutNulls(body, changes)
  for (const from in service.renamed) {
    const to = service.renamed[from]
    const value = body[from]
    if (value === undefined || to === undefined) continue
    change(changes, from, null)
    // If both limits are given, the newer one counts unless it is null, which many clients send for a limit that is not
    // set.
    const counts = from === 'max_completion_tokens' || (body[to] ?? null) === null
    if (value !== null && counts) change(changes, to, JSON.stringify(value))
  }
  for (const name of service.dropped) if (body[name] !== undefined) change(changes, name, null)
  const messages = toMessages(body.messages, service)
  if (messages !== body.messages) change(changes, 'messages', JSON.stringify(messages))
  if (!service.dropped.includes(CACHE_MARK)) return
  const tools = withoutCacheMarks(body.tools)
  if (tools !== body.tools) change(changes, 'tools', JSON.stringify(tools))
}
