import { DELTAS } from './world.ts'

/** What became of one call. */
export interface Outcome {
  /** Why it failed; `null` when it was answered whole. */
  readonly problem: string | null
  readonly server: string | null
  readonly attempts: number
  /** Epoch milliseconds when it was over. */
  readonly endedAt: number
}

/** Calls that go on until they are stopped. */
export interface Load {
  readonly outcomes: readonly Outcome[]
  /** Resolves when no call of a gateway is under way that gets no new ones. */
  over(url: string): Promise<void>
  /** Resolves when every call is over. */
  stop(): Promise<void>
}

const TICK_MS = 10
const TEXT = DELTAS.join('')

/** Calls a model at these gateways in turn, so many times a second, whether or not they have answered the calls before; every
 * second call is streamed. */
export function startLoad(model: string, perSecond: number, urls: () => readonly string[]): Load {
  const outcomes: Outcome[] = []
  const under = new Map<Promise<void>, string>()
  const startedAt = performance.now()
  let sent = 0

  function send(): void {
    const list = urls()
    const url = list[sent % list.length] ?? ''
    // Changes only with each round, so that every gateway gets calls of both kinds.
    const stream = Math.floor(sent / list.length) % 2 === 1
    sent++
    const one = call(url, model, stream).then(outcome => {
      outcomes.push(outcome)
      under.delete(one)
    })
    under.set(one, url)
  }

  const timer = setInterval(() => {
    while (sent < ((performance.now() - startedAt) / 1000) * perSecond) send()
  }, TICK_MS)

  return {
    outcomes,
    async over(url) {
      await Promise.all([...under].map(([one, at]) => (at === url ? one : null)))
    },
    async stop() {
      clearInterval(timer)
      await Promise.all(under.keys())
    },
  }
}

/** Makes one call and reads it to its end. */
export async function call(url: string, model: string, stream: boolean): Promise<Outcome> {
  const done = (problem: string | null, headers = new Headers()): Outcome => ({
    problem,
    server: headers.get('x-citadel-server'),
    attempts: Number(headers.get('x-citadel-attempts') ?? 0),
    endedAt: Date.now(),
  })
  try {
    const body = { model, stream, messages: [{ role: 'user', content: 'Hi' }] }
    const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify(body) })
    const text = await response.text()
    if (response.status !== 200) return done(`${response.status} ${text}`, response.headers)
    const whole = stream ? textOf(text) : JSON.parse(text).choices[0].message.content
    return done(whole === TEXT ? null : `not whole: ${text}`, response.headers)
  } catch (thrown) {
    return done(String(thrown))
  }
}

/** The text of a stream; `null` when it did not end as it should. */
function textOf(body: string): string | null {
  const events = body.split('\n\n').flatMap(block => (block.startsWith('data: ') ? [block.slice('data: '.length)] : []))
  if (events.at(-1) !== '[DONE]') return null
  return events
    .slice(0, -1)
    .map(event => JSON.parse(event).choices[0]?.delta?.content ?? '')
    .join('')
}
