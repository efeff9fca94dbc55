import type { Delivered } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Server, Target } from '#core/servers.ts'
import { endpointUrl, toHeaders, toPostHeaders } from '../openai_compatible/request.ts'
import type { Outgoing } from '../provider.ts'
import { toBody } from './body.ts'

/** The version of the API that this dialect speaks. */
const VERSION = '2023-06-01'
/** The header that switches on new features of the API; callers may send it. */
export const BETA = 'anthropic-beta'

/** Builds the request of a chat for the Messages API.
 *
 * @throws GatewayError `unsupported_parameter` for what the API cannot do. */
export function toAnthropicRequest(call: Call, target: Target, secret: string | null, delivered?: Delivered): Outgoing {
  const { fields, dropped } = toBody(call.body, target.upstreamModel, delivered)
  const usual = toPostHeaders(call, target.server, null, 'text/event-stream')
  const headers = withOwnHeaders({ ...usual }, target.server, secret)
  const beta = [headers[BETA], call.headers?.[BETA]].filter(Boolean).join(',')
  if (beta !== '') headers[BETA] = beta
  return {
    method: 'POST',
    url: endpointUrl(target.server.baseUrl, '/messages'),
    headers,
    body: [JSON.stringify(fields)],
    ...(dropped.length > 0 && { dropped }),
  }
}

/** Builds a request without a body. */
export function toAnthropicGet(server: Server, path: string, secret: string | null): Outgoing {
  const headers = withOwnHeaders(toHeaders(server, null), server, secret)
  return { method: 'GET', url: endpointUrl(server.baseUrl, path), headers, body: null }
}

/** Adds the version and the credential, which the server's configured headers may replace. */
function withOwnHeaders(headers: Record<string, string>, { headers: configured }: Server, secret: string | null) {
  headers['anthropic-version'] ??= VERSION
  const hasOwn = Object.keys(configured).some(name => /^(?:x-api-key|authorization)$/i.test(name))
  if (secret === null || hasOwn) return headers
  // A token of a login is sent in another header than an API key.
  if (secret.startsWith('sk-ant-oat')) headers.authorization = `Bearer ${secret}`
  else headers['x-api-key'] = secret
  return headers
}
