import { describe, expect, test } from 'bun:test'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { configOf, type ModelServer, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { chatEvents } from '#tests/support/openai-upstream.ts'
import { gate, hang, reset, type Script, type Steps, sse } from '#tests/support/upstream.ts'

const STREAMS = 50
/** How many of them each server has. */
const SHARE = STREAMS / 2
/** Past every clock of the gateway here. */
const SILENCE_MS = 30_001
const words = Array.from({ length: 40 }, (_, at) => ` word${at}`)
const events = chatEvents('test-model', { deltas: words }, true)
/** The last word that the doomed server says. */
const LAST_BEFORE = 'word18'
/** The words up to that, then whatever comes. */
const begun = (...rest: readonly Steps[]) => sse([...events.slice(0, 20), ...rest.flat()])

interface Trouble {
  readonly name: string
  /** What becomes of a call that the doomed server holds. */
  readonly end: Steps
  /** Makes it happen. */
  readonly strike: (doomed: ModelServer, clock: ReturnType<typeof fakeClock>) => unknown
}

const troubles: readonly Trouble[] = [
  { name: 'killed', end: hang(), strike: doomed => doomed.close() },
  { name: 'reset', end: reset(), strike: () => {} },
  { name: 'silent', end: hang(), strike: (_, clock) => clock.advance(SILENCE_MS) },
]

describe.each(troubles)(`one of two servers is $name under ${STREAMS} streams`, ({ end, strike }) => {
  test('no call fails, answered or not, and each answer is the one of an undisturbed run', async () => {
    const clock = fakeClock()
    clock.advance(1)
    const [trouble, start] = [gate(), gate()]
    // Every other call has its first words when the trouble begins, every other one has nothing.
    const held = ({ index }: { readonly index: number }) => (index % 2 === 0 ? begun(trouble, end) : [trouble, end])
    const sound: Script = ({ index }) => (index > 0 && index <= SHARE ? [start, sse(events)] : sse(events))
    await using other = await startModelServer(sound)
    await using doomed = await startModelServer(held)
    const config = configOf([other, doomed], {
      timeouts: { first_byte: '30s', first_token: '30s', idle: '30s' },
      load_balancer: { algorithm: 'round_robin', health_check_interval: '1h', health_check_timeout: '1h' },
    })
    await using gateway = await startGateway(config, { clock })
    const undisturbed = await ask(gateway).answer
    const streams = Array.from({ length: STREAMS }, () => ask(gateway))
    await Promise.all([other.called(SHARE + 1), doomed.called(SHARE)])
    start.open()
    const having = (text: string) => streams.filter(stream => stream.text().includes(text)).length
    while (having('[DONE]') < SHARE || having(LAST_BEFORE) < SHARE + Math.ceil(SHARE / 2)) await settled()

    trouble.open()
    await settled()
    await strike(doomed, clock)
    const answers = await Promise.all(streams.map(stream => stream.answer))

    expect(doomed.calls).toHaveLength(SHARE)
    expect(undisturbed).toEqual({ status: 200, text: words.join(''), finishes: ['stop'], usage: 10, done: 1 })
    expect(answers).toEqual(answers.map(() => undisturbed))
  })
})

interface Answer {
  readonly status: number
  readonly text: string
  readonly finishes: readonly string[]
  readonly usage: number | undefined
  readonly done: number
}

interface Chunk {
  readonly choices?: readonly { readonly delta: { readonly content?: string }; readonly finish_reason: string | null }[]
  readonly usage?: { readonly total_tokens: number } | null
}

/** Asks for a stream with its usage; the text is what has come so far. */
function ask(gateway: TestGateway): { readonly answer: Promise<Answer>; text(): string } {
  let text = ''
  const read = async (): Promise<Answer> => {
    const response = await gateway.chat({ stream: true, stream_options: { include_usage: true } })
    const decoder = new TextDecoder()
    for await (const bytes of response.body ?? []) text += decoder.decode(bytes, { stream: true })
    return toAnswer(response.status, text)
  }
  return { answer: read(), text: () => text }
}

function toAnswer(status: number, text: string): Answer {
  const chunks: Chunk[] = [...text.matchAll(/^data: (\{.*\})$/gm)].map(([, data = '']) => JSON.parse(data))
  const choices = chunks.flatMap(chunk => chunk.choices ?? [])
  return {
    status,
    text: choices.map(choice => choice.delta.content ?? '').join(''),
    finishes: choices.flatMap(choice => choice.finish_reason ?? []),
    usage: chunks.findLast(chunk => chunk.usage)?.usage?.total_tokens,
    done: text.split('data: [DONE]').length - 1,
  }
}
