import type { Provider } from '../provider.ts'
import { catalog } from './catalog.ts'
import { fromAnthropicErrorResponse } from './error.ts'
import { parameters } from './parameters.ts'
import { BETA, toAnthropicRequest } from './request.ts'
import { fromAnthropicResponse } from './response.ts'
import { createAnthropicStream } from './stream.ts'

/** Creates the dialect of Anthropic's Messages API.
 *
 * @param time Unix time in milliseconds: OpenAI's answers say when they were made, the API's do not. */
export function createAnthropic(time: () => number): Provider {
  const seconds = () => Math.floor(time() / 1000)
  return {
    name: 'anthropic',
    framing: 'sse',
    endpoints: new Set(['chat']),
    capabilities: {
      tools: true,
      vision: true,
      audio: false,
      json_object: true,
      json_schema: true,
      reasoning: true,
      logprobs: false,
      several_choices: false,
      prefill: true,
    },
    parameters,
    headers: [BETA],
    defaultBaseUrl: 'https://api.anthropic.com/v1',
    normalizeBaseUrl,
    encode: toAnthropicRequest,
    decode: (call, body) => fromAnthropicResponse(call, body, seconds()),
    decodeError: fromAnthropicErrorResponse,
    stream: call => createAnthropicStream(call, seconds()),
    catalog,
  }
}

/** Anthropic, and servers that speak its dialect. */
export const anthropic = createAnthropic(Date.now)

/** Removes the path of an endpoint, which people paste with the address, and appends the `/v1` that Anthropic's own
 * libraries append. */
export function normalizeBaseUrl(url: string): string {
  const base = url
    .trim()
    .replace(/\/+$/, '')
    .replace(/\/(?:messages|models)$/, '')
  return /\/v\d+$/.test(base) ? base : `${base}/v1`
}
