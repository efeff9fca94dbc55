import type { Call } from '#core/call.ts'
import { createAnthropic } from '#providers/anthropic/index.ts'
import { callOf } from '#tests/providers/replay.ts'
import { server, target } from '#tests/support/calls.ts'
import { type RecordedCase, recordedCases } from '#tests/support/recorded.ts'

/** The dialect on a clock that stands still. */
export const anthropic = createAnthropic(() => 1_700_000_000_000)

/** A target that serves a model of Claude. */
export function claude(upstreamModel: string) {
  const api = server('anthropic', { kind: 'anthropic', baseUrl: 'https://api.anthropic.com/v1' })
  return target('anthropic', { server: api, upstreamModel })
}

/** The body that goes upstream for a body in OpenAI's words. */
export function sent(body: Call['body'], model = 'claude-sonnet-4-5', more: Partial<Call> = {}) {
  const outgoing = anthropic.encode(chat(body, more), claude(model), null)
  return { body: JSON.parse(outgoing.body?.join('') ?? ''), dropped: outgoing.dropped ?? [] }
}

/** A call with this body; one short message when it has none. */
export function chat(body: Call['body'], more: Partial<Call> = {}): Call {
  return {
    ...callOf(NO_CASE, { endpoint: 'chat', stream: false }),
    source: null,
    body: { messages: [{ role: 'user', content: 'Hi' }], ...body },
    ...more,
  }
}

/** The call whose answer a recorded case is. */
export function askedFor(recorded: RecordedCase, more: Partial<Call> = {}): Call {
  return chat({ stream: recorded.streamed }, { stream: recorded.streamed, ...more })
}

const all = recordedCases('anthropic')

/** The recorded answers of the Messages API. */
export const messages = all.filter(({ endpoint }) => /\/v1\/messages(?:\?|$)/.test(endpoint))
export const streams = messages.filter(each => each.streamed && each.status === 200 && !isErrorStream(each))
export const answers = messages.filter(each => !each.streamed && each.status === 200)
export const failures = messages.filter(each => each.status !== 200 || isErrorStream(each))

function isErrorStream({ text }: RecordedCase): boolean {
  return text.startsWith('event: error')
}

const NO_CASE: RecordedCase = {
  name: '',
  provider: 'anthropic',
  endpoint: 'POST /v1/messages',
  features: '',
  capture: '',
  request: null,
  status: 200,
  headers: {},
  body: null,
  text: '',
  streamed: false,
}
