import { cut, html, json, pause, type RecordedRequest, reset, sse, startUpstream } from '#tests/support/upstream.ts'

/** What a server said that a call used. */
export interface Truth {
  readonly input: number
  readonly cached: number
  readonly output: number
}

/** A model server that fails in many ways, and knows what it said. */
export interface LedgerUpstream {
  readonly url: string
  stop(): Promise<void>
}

/** Of a hundred attempts so many fail in each of these ways; the others answer whole. */
const FAULTS = [
  ['error', 4],
  ['reset', 3],
  ['page', 2],
  ['broken', 5],
  ['silent-about-usage', 6],
] as const
const PIECES = 8

/** What servers said last of each call, by the call's user; `null` = they answered and did not say. */
export type Truths = Map<string, Truth | null>

/** Starts one. */
export async function startLedgerUpstream(truths: Truths, random: () => number): Promise<LedgerUpstream> {
  const server = await startUpstream(request => {
    if (request.method === 'GET') return json(200, { object: 'list', data: [{ id: 'm', object: 'model' }] })
    return answer(request, truths, random)
  })
  return { url: `${server.url}/v1`, stop: server.close }
}

function answer(request: RecordedRequest, truths: Truths, random: () => number) {
  const body = request.json()
  const { user, stream } = typeof body === 'object' && body !== null ? { user: '', stream: false, ...body } : {}
  const fault = faultOf(random() * 100)
  if (fault === 'error') return json(500, { error: { message: 'broken' } })
  if (fault === 'reset') return [reset()]
  if (fault === 'page') return html()
  const truth = { input: 1 + Math.floor(random() * 900), cached: Math.floor(random() * 90), output: PIECES }
  const says = fault !== 'silent-about-usage'
  const usage = {
    prompt_tokens: truth.input + truth.cached,
    completion_tokens: truth.output,
    total_tokens: truth.input + truth.cached + truth.output,
    prompt_tokens_details: { cached_tokens: truth.cached },
  }
  if (fault !== 'broken') truths.set(String(user), says ? truth : null)
  if (stream === true) return streamed(fault === 'broken' ? random() * PIECES : PIECES, says ? usage : null)
  const choices = [{ index: 0, message: { role: 'assistant', content: 'word '.repeat(PIECES) }, finish_reason: 'stop' }]
  const whole = { id: 'c', object: 'chat.completion', created: 1, model: 'm', choices, ...(says ? { usage } : {}) }
  return fault === 'broken'
    ? [json(200, '{"id":"c","choices":[{"ind'), cut()]
    : [pause(random() * 20), json(200, whole)]
}

function streamed(pieces: number, usage: object | null) {
  const chunk = (rest: object) => ({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...rest })
  const choice = (delta: object, finish_reason: string | null = null) =>
    chunk({ choices: [{ index: 0, delta, finish_reason }] })
  const events: (object | string)[] = [choice({ role: 'assistant', content: '' })]
  for (let piece = 0; piece < pieces; piece++) events.push(choice({ content: `word ${piece} ` }), pause(2))
  if (pieces < PIECES) return sse([...events, reset()])
  const end = usage === null ? [] : [chunk({ choices: [], usage })]
  return sse([...events, choice({}, 'stop'), ...end, '[DONE]'])
}

function faultOf(at: number): (typeof FAULTS)[number][0] | null {
  let from = 0
  for (const [name, share] of FAULTS) {
    from += share
    if (at < from) return name
  }
  return null
}
