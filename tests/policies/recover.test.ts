import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Live, Run } from '#core/attempt.ts'
import type { Bypass, Said } from '#core/bypass.ts'
import { type Code, GatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import { createScope } from '#core/scope.ts'
import type { PrefillOffer } from '#policies/prefill.ts'
import { recover } from '#policies/recover.ts'
import { callOf } from '#tests/providers/replay.ts'
import { call, drain, frame, liveOf } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { seeded } from '#tests/support/random.ts'
import { recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { atomsOf, framesOf, heard, streamOf } from './runs.ts'

const cut = (code: Code = 'upstream_error') => new GatewayError(code, `a server said ${code}`)
const errorFrame = (code: Code): Frame => ({ kind: 'error', error: cut(code) })
const [start, finish] = [frame('start'), frame('finish')]
/** Events that a server's bytes say without anybody parsing them. */
const saidOf = (text: string): Said => ({
  written: text,
  events: 1,
  choice: 0,
  field: 'content',
  text,
  at: 0,
})
const words = (...texts: readonly string[]) => texts.map(text => frame('delta', text))

const COUNTED = { input: 40, cacheRead: 0, cacheWrite: 0, output: 1, reasoning: 0, estimated: false }

/** Runs a recovery over these answers, one attempt each; what is behind the last one fails. */
async function over(...answers: readonly Live[]) {
  const scope = createScope(fakeClock())
  const told: string[] = []
  let at = 0
  const run: Run = {
    async next() {
      const live = answers[at++]
      if (live === undefined) throw cut('all_targets_failed')
      return live
    },
  }
  const offer = { delivered: null, upstreamModel: '', taken: false }
  const live = await recover(
    run,
    { call: call(), scope, offer },
    {
      onBroken: (error, characters) => told.push(`${error.code} after ${characters}`),
      onRecovered: how => told.push(how),
    },
  )
  return { live, scope, told, asked: () => at }
}

/** What a caller gets: all the frames, and the error that ended them. */
async function read(live: Live): Promise<{ readonly content: string; readonly error: GatewayError | null }> {
  let content = ''
  try {
    for (let frames = await live.next(); frames.length > 0; frames = await live.next()) {
      for (const each of frames) {
        if (each.kind === 'error') return { content, error: each.error }
        content += each.chunk.choices?.[0]?.delta?.content ?? ''
      }
    }
    return { content, error: null }
  } catch (thrown) {
    return { content, error: thrown as GatewayError }
  }
}

describe('a recovery', () => {
  test('passes an answer on as it is', async () => {
    const batches = [[start, ...words('One')], words(' two'), [finish]]
    const { live, told } = await over(liveOf(batches))

    const passed: (readonly Frame[])[] = []
    for (let frames = await live.next(); frames.length > 0; frames = await live.next()) passed.push(frames)

    expect(passed.every((frames, at) => frames === batches[at])).toBe(true)
    expect(told).toEqual([])
  })

  test('goes on from the next answer, and lets go of the broken one first', async () => {
    const broken = liveOf([[start, ...words('One', ' tw')]], cut())
    const { live, told } = await over(broken, liveOf([[start], words('One two'), [finish]]))

    expect(await read(live)).toEqual({ content: 'One two', error: null })
    expect(told).toEqual(['upstream_error after 6', 'restart'])
    expect(broken.closed()).toBe(1)
  })

  test('passes on what came together with an error', async () => {
    const { live, asked } = await over(liveOf([[start, ...words('One'), errorFrame('upstream_error')]]))

    expect(await read(live)).toMatchObject({ content: 'One', error: { code: 'upstream_error' } })
    expect(asked()).toBe(2)
  })

  test('goes on behind what went past the frames too, and compares everything from then on', async () => {
    const passing = (live: Live) => {
      let to: Bypass = () => false
      const bypass = (given: Bypass) => {
        to = given
      }
      return { ...live, bypass, say: (text: string) => to(saidOf(text)) }
    }
    const [first, second] = [
      passing(liveOf([[start, ...words('One')]], cut())),
      passing(liveOf([[start, ...words('One two three four', ' five')], [finish]])),
    ]
    const { live } = await over(first, second)
    let passed = ''
    live.bypass?.(({ text }) => {
      passed += text
      return text !== ' no'
    })

    await live.next()
    expect([' two', ' no', ' three'].map(first.say)).toEqual([true, false, true])
    const rest = await read(live)

    expect([passed, rest.content, rest.error]).toEqual([' two no three', ' four five', null])
    for (const each of [first, second]) expect(each.say(' more')).toBe(false)
  })

  test('says nothing twice where the next answer brings an error together with what it repeats', async () => {
    const broken = () => liveOf([[start, ...words('One', ' tw')]], cut())
    const refused = await over(broken(), liveOf([[start, ...words('One two'), errorFrame('content_policy_violation')]]))
    const brokenAgain = await over(
      broken(),
      liveOf([[start, ...words('One two'), errorFrame('upstream_error')]]),
      liveOf([[start, ...words('One two'), finish]]),
    )

    expect(await read(refused.live)).toMatchObject({ content: 'One two', error: { code: 'content_policy_violation' } })
    expect(await read(brokenAgain.live)).toEqual({ content: 'One two', error: null })
  })

  test('survives several breaks, also while it catches up', async () => {
    const { live, told } = await over(
      liveOf([[start, ...words('One', ' two')]], cut()),
      liveOf([[start, ...words('On')]], cut('upstream_idle_timeout')),
      liveOf([[start, ...words('One two', ' three')]], cut('upstream_invalid_response')),
      liveOf([[start, ...words('One two three', ' four')], [finish]]),
    )

    expect(await read(live)).toEqual({ content: 'One two three four', error: null })
    expect(told.filter(each => each === 'restart')).toHaveLength(2)
  })

  test('ends with the first break when nothing is left', async () => {
    const first = cut('upstream_idle_timeout')
    const { live } = await over(liveOf([[start, ...words('One')]], first), liveOf([], cut()))

    expect((await read(live)).error).toBe(first)
  })

  test.each([
    ['another text', [start, ...words('Two'), finish]],
    ['a shorter text', [start, ...words('O'), finish]],
    ['no text', [start]],
  ] as const)('ends at %s, with the break as its cause', async (_, frames) => {
    const first = cut()
    const next = liveOf([frames])
    const { live, told } = await over(liveOf([[start, ...words('One')]], first), next)

    const { content, error } = await read(live)

    expect([content, error?.code, error?.cause]).toEqual(['One', 'stream_interrupted', first])
    expect(told).toEqual(['upstream_error after 3', 'stream_interrupted after 3'])
    expect(next.closed()).toBeGreaterThan(0)
  })

  test('ends with an error where the answer that it goes on from ends unfinished', async () => {
    const first = cut()
    const next = liveOf([[start, ...words('One two')]])
    const { live, told } = await over(liveOf([[start, ...words('One')]], first), next)

    const { content, error } = await read(live)

    expect([content, error?.code, error?.cause]).toEqual(['One two', 'stream_interrupted', first])
    expect(told).toEqual(['upstream_error after 3', 'restart', 'stream_interrupted after 7'])
  })

  const final: readonly Code[] = ['client_closed_request', 'deadline_exceeded', 'content_policy_violation']
  test.each(final)('does not touch %s', async code => {
    const thrown = await over(liveOf([[start, ...words('One')]], cut(code)), liveOf([]))
    const inBand = await over(liveOf([[start, ...words('One'), errorFrame(code)]]), liveOf([]))

    for (const { live, asked } of [thrown, inBand]) {
      expect((await read(live)).error?.code).toBe(code)
      expect(asked()).toBe(1)
    }
  })

  test('asks nobody when the call is over', async () => {
    const { live, scope, asked } = await over(liveOf([[start, ...words('One')]], cut()), liveOf([]))

    await live.next()
    scope.cancel(cut('deadline_exceeded'))

    expect((await read(live)).error?.code).toBe('deadline_exceeded')
    expect(asked()).toBe(1)
  })

  test('lets go of whoever answers when nobody reads any more', async () => {
    const [first, second] = [liveOf([[start, ...words('One')]], cut()), liveOf([[start, ...words('One', ' two')]])]
    const { live } = await over(first, second)
    await live.next()
    await live.next()

    live.close()

    expect([first.closed(), second.closed()]).toEqual([1, 1])
  })

  test('closes an answer that comes when nobody waits for it any more', async () => {
    const [first, second] = [liveOf([[start, ...words('One')]], cut()), liveOf([[start]])]
    const pending = Promise.withResolvers<Live>()
    const answers = [Promise.resolve<Live>(first), pending.promise]
    const run: Run = { next: () => answers.shift() ?? Promise.reject(cut()) }
    const offer = { delivered: null, upstreamModel: '', taken: false }
    const watch = { onBroken: () => {}, onRecovered: () => {} }
    const live = await recover(run, { call: call(), scope: createScope(fakeClock()), offer }, watch)

    await live.next()
    const failed = read(live)
    await settled()
    live.close()
    pending.resolve(second)

    expect((await failed).error?.code).toBe('upstream_error')
    expect(second.closed()).toBe(1)
  })

  test('hands on the count of what it drops, once, and none of an answer that broke off meanwhile', async () => {
    const counted = (each: DataFrame, output: number) => ({ ...each, soFar: { ...COUNTED, output } })
    const { live } = await over(
      liveOf([[start, ...words('One')]], cut()),
      liveOf([[counted(start, 1)]], cut()),
      liveOf([[start], words('One two'), [counted(start, 2)], words(' three'), words(' four'), [finish]]),
    )

    const outputs = (await drain(live)).map(each => (each.kind === 'error' ? null : each.soFar?.output))

    // `One`, ` two`, ` three`, ` four` and the finish.
    expect(outputs.slice(-4)).toEqual([undefined, 2, undefined, undefined])
  })

  test('says every word once, even if several arrive together with a count', async () => {
    const counted = words('One two', ' three', ' four').map(each => ({ ...each, soFar: COUNTED }))
    const { live } = await over(liveOf([[start, ...words('One')]], cut()), liveOf([[start, ...counted], [finish]]))

    expect(await read(live)).toEqual({ content: 'One two three four', error: null })
  })

  test('is not tried once more than 256 kB were delivered', async () => {
    const long = 'x'.repeat(256 * 1024)
    const { live, asked } = await over(liveOf([[start, ...words(long, 'y')]], cut()), liveOf([]))

    expect((await read(live)).error?.code).toBe('upstream_error')
    expect(asked()).toBe(1)
  })
})

describe('an answer that another one continues', () => {
  const said = Array.from({ length: 20 }, (_, at) => `word${at} `).join('')

  /** What was said goes on with the first of these, which was given it, and then with the others, which were not. */
  async function continuedBy(...answers: readonly Live[]) {
    const told: string[] = []
    const offer: PrefillOffer = { delivered: null, upstreamModel: '', taken: false }
    const all = [liveOf([[start, ...words(said)]], cut()), ...answers]
    let at = 0
    const run: Run = {
      async next() {
        if (at === 1) offer.taken = true
        return all[at++] ?? Promise.reject(cut())
      },
    }
    const watch = { onBroken: () => {}, onRecovered: (how: string) => told.push(how) }
    const live = await recover(run, { call: call(), scope: createScope(fakeClock()), offer }, watch)
    return { live, told }
  }

  test('carries no count of a prompt that has its beginning in it', async () => {
    const counted = [...words('and', ' more'), finish].map(each => ({ ...each, soFar: COUNTED }))
    const { live, told } = await continuedBy(liveOf([counted]))

    const frames = await drain(live)

    expect([heard(frames).texts, told]).toEqual([{ '0 content': `${said}and more` }, ['prefill']])
    expect(frames.flatMap(each => (each.kind === 'error' ? [] : (each.soFar ?? [])))).toEqual([])
  })

  test('is not taken for whole when the other one ends unfinished', async () => {
    const { live, told } = await continuedBy(liveOf([words('and', ' more')]))

    const { content, error } = await read(live)

    expect([content, error?.code, told]).toEqual([`${said}and more`, 'stream_interrupted', ['prefill']])
  })

  test('is not continued by the next one that was not asked to', async () => {
    const { live, told } = await continuedBy(
      liveOf([[start, ...words('and more')]], cut()),
      liveOf([[start, ...words('Something else'), finish]]),
    )

    const { content, error } = await read(live)

    expect([content, error?.code, told]).toEqual([`${said}and more`, 'stream_interrupted', ['prefill']])
  })
})

describe.skipIf(sharedDir() === null)('a recorded answer', () => {
  test.each([
    'openai/chat-n2-stream',
    'openai/chat-stream-usage',
    'openai/chat-tool-stream-single',
    'openai-compatible/xai/chat-stream-tool-reasoning',
  ])('%s is whole however often it breaks', async name => {
    const recorded = recordedCase(name)
    const asked = { ...callOf(recorded), wantsUsage: true }
    const frames = framesOf(asked, recorded.text)
    const atoms = atomsOf(frames)
    const { texts, finishes, usages } = heard(frames)
    const property = fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 4 }), async (seed, breaks) => {
      const random = seeded(seed)
      const answer = (run: number) => framesOf(asked, streamOf(atoms, `run${run}`, random))
      const broken = Array.from({ length: breaks }, (_, run) => {
        const all = answer(run)
        return liveOf([all.slice(0, 1 + Math.floor(random() * (all.length - 2)))], cut())
      })
      const { live } = await over(...broken, liveOf(answer(breaks).map(each => [each])))

      const all = heard(await drain(live))

      expect({ texts: all.texts, finishes: all.finishes, usage: all.usages }).toEqual({
        texts,
        finishes,
        usage: usages.slice(-1),
      })
      expect(all.ids).toBe(1)
    })
    await fc.assert(property, { numRuns: 60 })
  })
})
