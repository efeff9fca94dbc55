import { describe, expect, test } from 'bun:test'
import { fastest } from '#tests/support/fastest.ts'
import {
  callBody,
  configOf,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents } from '#tests/support/openai-upstream.ts'
import { seeded } from '#tests/support/random.ts'
import { type Redis, startRedis } from '#tests/support/redis.ts'
import { json, pause, type Script, sse } from '#tests/support/upstream.ts'

const CALLS = 600
const TRUE_DUPLICATES = 0.4
const AT_ONCE = 16
const LIMIT_MS = 60_000
const PAUSE_MS = 1000

const KEYS = [
  { name: 'web', key: 'sk-web-0123456789', tenant: 'shop' },
  { name: 'app', key: 'sk-app-0123456789', tenant: 'shop' },
  { name: 'other', key: 'sk-other-0123456789', tenant: 'bank' },
]

/** One call of the trace; calls with the same `question` are true duplicates of each other. */
interface Traced {
  readonly question: string
  readonly key: string
  readonly body: Readonly<Record<string, unknown>>
  readonly stream: boolean
}

const random = seeded(20_261_121)
const pick = <T>(list: readonly T[]): T => {
  const item = list[Math.floor(random() * list.length)]
  if (item === undefined) throw new Error('an empty list')
  return item
}

/** Questions of a few tenants at mixed temperatures, plain and streamed, of which near-duplicates differ in as little
 * as a dot, a space, a temperature or the key that asks. */
function trace(): Traced[] {
  const calls: Traced[] = []
  while (calls.length < CALLS) {
    const form = { stream: random() < 0.5 }
    const wantsUsage = form.stream && random() < 0.5
    const neutral = {
      ...form,
      user: `u${calls.length}`,
      ...(wantsUsage && { stream_options: { include_usage: true } }),
    }
    const before = calls.length > 0 && random() < TRUE_DUPLICATES ? pick(calls) : null
    if (before !== null)
      calls.push({ ...before, ...form, body: { ...before.body, stream_options: undefined, ...neutral } })
    else {
      const content = `What is ${calls.length % 40}${pick(['', '?', ' ?', '!'])}`
      const body = { messages: [{ role: 'user', content }], temperature: pick([0, 0.2, 1]), ...pick([{}, { seed: 1 }]) }
      const key = pick(KEYS).key
      const question = JSON.stringify([key, body])
      calls.push({ question, key, ...form, body: { ...body, ...neutral } })
    }
  }
  return calls
}

/** Answers each question with itself, so that a wrong answer is seen. */
const echo: Script = request => {
  const body = request.json() as {
    readonly stream?: boolean
    readonly messages: readonly { readonly content: string }[]
  }
  const { temperature, seed } = request.json() as Record<string, unknown>
  const deltas = [`${temperature} `, `${seed ?? ''} `, body.messages[0]?.content ?? '']
  return body.stream === true
    ? sse(chatEvents('test-model', { deltas }, true))
    : json(200, chatCompletion('test-model', { deltas }))
}

const expected = ({ body }: Traced) => {
  const [message] = body.messages as readonly { readonly content: string }[]
  return `${body.temperature} ${body.seed ?? ''} ${message?.content}`
}

async function ask(gateway: TestGateway, { key, body }: Traced) {
  const response = await gateway.chat(body, { headers: { authorization: `Bearer ${key}` } })
  const text = await response.text()
  const said = body.stream
    ? [...text.matchAll(/"content":"([^"]*)"/g)].map(([, piece]) => piece).join('')
    : JSON.parse(text).choices[0].message.content
  return { status: response.status, cache: response.headers.get('x-citadel-cache'), said }
}

/** Sends the trace in its order, some calls at a time. */
async function play(gateway: TestGateway, calls: readonly Traced[], onAnswer: (done: number) => void = () => {}) {
  const answers: Awaited<ReturnType<typeof ask>>[] = []
  let next = 0
  let done = 0
  const client = async () => {
    for (let at = next++; at < calls.length; at = next++) {
      const call = calls[at]
      if (call === undefined) return
      answers[at] = await ask(gateway, call)
      onAnswer(++done)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, client))
  return answers
}

describe('a trace of mixed calls', () => {
  const calls = trace()
  const firsts = new Set(calls.filter((call, at) => calls.findIndex(each => each.question === call.question) === at))

  test('has what it should have', () => {
    const duplicates = calls.length - firsts.size

    expect(duplicates / calls.length).toBeGreaterThan(TRUE_DUPLICATES - 0.05)
    expect(new Set(calls.map(({ stream }) => stream)).size).toBe(2)
    expect(firsts.size).toBeGreaterThan(100)
  })

  test(
    'every true duplicate is a hit or shared, and no near-duplicate is',
    async () => {
      await using server = await startModelServer(echo)
      await using gateway = await startGateway(configOf([server], { cache: { enabled: true }, auth: { keys: KEYS } }))
      const answers = await play(gateway, calls)

      expect(server.calls).toHaveLength(firsts.size)
      for (const [at, call] of calls.entries()) {
        const answer = answers[at]
        expect(answer?.said).toBe(expected(call))
        expect(answer?.status).toBe(200)
      }
      // Of calls with the same question one asked, whichever came first; none of the others did.
      const asked = calls.filter((_, at) => answers[at]?.cache === 'miss').map(({ question }) => question)
      expect(asked).toHaveLength(firsts.size)
      expect(new Set(asked).size).toBe(firsts.size)
      expect(new Set(answers.map(({ cache }) => cache))).toEqual(new Set(['miss', 'hit', 'coalesced']))
    },
    LIMIT_MS,
  )

  test(
    'two gateways share what is in Redis, and its death costs only hits',
    async () => {
      await using redis: Redis = await startRedis()
      await using server = await startModelServer(echo)
      const config: Tree = { cache: { enabled: true }, auth: { keys: KEYS }, redis: { url: redis.url, timeout: '5s' } }
      await using one = await startGateway(configOf([server], config))
      await using two = await startGateway(configOf([server], config))
      await play(one, calls)
      const shared = await play(two, calls.slice(0, CALLS / 2))
      let killed: Promise<void> | null = null
      await using three = await startGateway(configOf([server], config))
      const during = await play(three, calls, done => {
        if (done === CALLS / 4) killed = redis.kill()
      })
      await killed

      expect(shared.every(({ cache }) => cache === 'hit')).toBe(true)
      for (const [at, call] of calls.entries()) {
        expect(during[at]?.status).toBe(200)
        expect(during[at]?.said).toBe(expected(call))
      }
      expect(during.slice(0, CALLS / 8).every(({ cache }) => cache === 'hit')).toBe(true)
      expect(during.some(({ cache }) => cache === 'miss')).toBe(true)
    },
    LIMIT_MS,
  )
})

test('the pace of a stream is kept where that is asked for', async () => {
  const [role = '', one = '', ...rest] = chatEvents('test-model')
  await using server = await startModelServer(sse([role, one, pause(PAUSE_MS), ...rest]))
  const body = callBody({ stream: true })
  const replayMs = async (cache: Tree) => {
    await using gateway = await startGateway(configOf([server], { cache }))
    await (await gateway.chat(body)).text()
    const since = performance.now()
    const again = await gateway.chat(body)
    await again.text()
    expect(again.headers.get('x-citadel-cache')).toBe('hit')
    return performance.now() - since
  }

  // The pause was measured by another timer than the one that repeats it.
  expect(await replayMs({ enabled: true, keep_pace: true })).toBeGreaterThan(PAUSE_MS / 2)
  const atOnce = await fastest(PAUSE_MS / 2, () => replayMs({ enabled: true }))
  expect(atOnce).toBeLessThan(PAUSE_MS / 2)
})
