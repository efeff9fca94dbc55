import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Call } from '#core/call.ts'
import type { DataFrame } from '#core/frame.ts'
import { createSplice, isCaughtUp, isWhole, stepSplice } from '#policies/splice.ts'
import { createTranscript, type Transcript } from '#policies/transcript.ts'
import { callOf } from '#tests/providers/replay.ts'
import { call } from '#tests/support/calls.ts'
import { seeded } from '#tests/support/random.ts'
import { recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { type Atom, atomsOf, framesOf, heard, streamOf } from './runs.ts'

const RECORDED = [
  'openai/chat-n2-stream',
  'openai/chat-stream-text-exact',
  'openai/chat-stream-usage',
  'openai/chat-tool-stream-single',
  'openai/completions-stream-usage',
  'openai-compatible/anthropic-openai/chat-stream-tool-index-offset',
  'openai-compatible/groq/chat-stream-exact',
  'openai-compatible/groq/chat-stream-tool-llama',
  'openai-compatible/mistral/chat-stream-tool',
  'openai-compatible/ollama-v1/chat-stream-reasoning',
  'openai-compatible/ollama-v1/chat-stream-tool',
  'openai-compatible/vllm/chat-stream',
  'openai-compatible/xai/chat-stream-tool-reasoning',
]

const say = (channel: string, text: string, index = 0): Atom[] => text.split('').map(text => ({ index, channel, text }))
const finish = (text: string, index = 0): Atom => ({ index, channel: 'finish', text })
const usage: Atom = { index: 0, channel: 'usage', text: '', raw: { prompt_tokens: 7, completion_tokens: 9 } }
const token = (text: string): Atom => ({ index: 0, channel: 'content', text, entry: { token: text, logprob: -0.5 } })

/** Answers of every shape, also of those that were not recorded. */
const MADE: Readonly<Record<string, readonly Atom[]>> = {
  'reasoning, content and two tool calls': [
    ...say('reasoning_content', 'Let me think 🤔 about it.'),
    ...say('content', 'I will look — 你好.'),
    { index: 0, channel: 'call 0', text: 'find' },
    ...say('tool 0', '{"a":"b"}'),
    { index: 0, channel: 'call 1', text: 'find' },
    ...say('tool 1', '{"a":"c"}'),
    finish('tool_calls'),
    usage,
  ],
  'two choices, one of which ends early': [
    ...say('content', 'One', 0),
    ...say('content', 'Other', 1),
    finish('stop', 1),
    ...say('content', ' and more', 0),
    finish('length', 0),
    usage,
  ],
  'a refusal': [...say('refusal', 'I cannot help with that.'), finish('stop'), usage],
  'log probabilities': [...['Hel', 'lo', ' wor', 'ld', '!'].map(token), finish('stop'), usage],
  'the same letter again and again': [...say('content', 'aaaaaaaaaaaaaaaa'), finish('stop'), usage],
}

const answers: readonly { readonly name: string; readonly asked: Call; readonly frames: readonly DataFrame[] }[] = [
  ...(sharedDir() === null ? [] : RECORDED).map(name => {
    const recorded = recordedCase(name)
    const asked = { ...callOf(recorded), wantsUsage: true }
    return { name, asked, frames: framesOf(asked, recorded.text) }
  }),
  ...Object.entries(MADE).map(([name, atoms]) => {
    const asked = call({ wantsUsage: true })
    return {
      name,
      asked,
      frames: framesOf(
        asked,
        streamOf(atoms, 'first', () => 0.5),
      ),
    }
  }),
]

function transcriptOf(frames: readonly DataFrame[]): Transcript {
  const transcript = createTranscript()
  for (const frame of frames) transcript.note(frame)
  return transcript
}

/** Splices a whole second stream behind what was delivered. */
function splice(delivered: readonly DataFrame[], second: readonly DataFrame[]): DataFrame[] | 'differs' {
  let state = createSplice(transcriptOf(delivered))
  const passed: DataFrame[] = []
  for (const frame of second) {
    const result = stepSplice(state, frame)
    if (result === 'differs') return result
    state = result[0]
    passed.push(...result[1])
  }
  return isWhole(state) ? passed : 'differs'
}

/** Without the usage that only some recordings repeat on the way, and with one place for what may differ. */
function comparable(frames: readonly DataFrame[]) {
  const { texts, finishes, tokens, usages } = heard(frames)
  return { texts, finishes, tokens, usage: usages.at(-1) }
}

describe.each(answers)('$name', ({ asked, frames }) => {
  const whole = comparable(frames)
  const atoms = atomsOf(frames)

  test('is whole wherever it is cut and however it is cut into pieces', () => {
    for (let cut = 1; cut < frames.length; cut++) {
      const again = framesOf(asked, streamOf(atoms, 'again', seeded(cut)))
      const delivered = frames.slice(0, cut)
      const passed = splice(delivered, again)
      if (passed === 'differs') throw new Error(`cut ${cut} differs`)

      expect(comparable([...delivered, ...passed]), `cut ${cut}`).toEqual(whole)
    }
  })

  test('is whole when both streams are cut into pieces by chance, and says everything once under one id', () => {
    const property = fc.property(fc.integer(), fc.double({ min: 0, max: 1, noNaN: true }), (seed, where) => {
      const random = seeded(seed)
      const first = framesOf(asked, streamOf(atoms, 'first', random))
      const again = framesOf(asked, streamOf(atoms, 'again!', random))
      const delivered = first.slice(0, 1 + Math.floor(where * (first.length - 2)))
      const passed = splice(delivered, again)
      if (passed === 'differs') return false
      const all = heard([...delivered, ...passed])
      expect(comparable([...delivered, ...passed])).toEqual(whole)
      expect([all.ids, all.roles, all.usages.length]).toEqual([1, heard(first).roles, heard(first).usages.length])
      return Object.values(all.finishes).every(reasons => reasons.length === 1)
    })
    fc.assert(property, { numRuns: 60 })
  })

  test('differs when one delivered character does, before anything new goes on', () => {
    const property = fc.property(fc.integer(), fc.nat(), fc.nat(), (seed, cut, where) => {
      const random = seeded(seed)
      const said = atoms.flatMap((atom, at) => (/^(?:finish|usage)/.test(atom.channel) ? [] : [at]))
      // One atom is cut off at least, so that there is something left to say.
      const delivered = said.slice(0, 1 + (cut % said.length))
      const wrong = delivered[where % delivered.length] ?? 0
      const second = atoms.map((atom, at) => (at === wrong ? withOtherText(atom) : atom))
      const first = framesOf(asked, streamOf(atoms.slice(0, (delivered.at(-1) ?? 0) + 1), 'first', random))
      const sent = first.filter(({ kind }) => kind !== 'finish')
      return splice(sent, framesOf(asked, streamOf(second, 'again', random))) === 'differs'
    })
    fc.assert(property, { numRuns: 100 })
  })

  test('differs when the second stream ends within what was delivered', () => {
    const said = atoms.filter(({ channel }) => !/^(?:finish|usage)/.test(channel))
    for (let length = 0; length < said.length; length += Math.ceil(said.length / 50)) {
      const ends = [...new Set(said.map(({ index }) => index))].map(index => finish('stop', index))
      const short = framesOf(asked, streamOf([...said.slice(0, length), ...ends], 'again', seeded(length)))

      expect(splice(transcribable(frames), short)).toBe('differs')
    }
  })
})

/** All but the finishes, as if the stream had been cut just before them. */
function transcribable(frames: readonly DataFrame[]): DataFrame[] {
  return frames.map(frame => {
    const choices = (frame.chunk.choices ?? []).map(choice => ({ ...choice, finish_reason: null }))
    return { ...frame, chunk: { ...frame.chunk, choices } }
  })
}

function withOtherText(atom: Atom): Atom {
  const text = atom.text.startsWith('x') ? `y${atom.text.slice(1)}` : `x${atom.text.slice(1)}`
  return { ...atom, text, ...(atom.entry !== undefined && { entry: { ...atom.entry, token: text } }) }
}

describe('a splice', () => {
  const stream = (atoms: readonly Atom[], run = 'again') =>
    framesOf(
      call(),
      streamOf(atoms, run, () => 0.5),
    )

  test('cuts a chunk in the middle of its text', () => {
    const delivered = stream([...say('content', 'Hel')], 'first').filter(({ kind }) => kind !== 'finish')

    const passed = splice(delivered, stream([...say('content', 'Hello there'), finish('stop')]))

    expect(passed === 'differs' ? passed : heard(passed).texts).toEqual({ '0 content': 'lo there' })
  })

  test('says that nothing is counted yet only where the server’s text goes on with it', () => {
    const delivered = stream([...say('content', 'Hel')], 'first').filter(({ kind }) => kind !== 'finish')
    const again = stream([...say('content', 'Hello'), finish('stop')]).map(frame => ({
      ...frame,
      chunk: { ...frame.chunk, usage: null },
    }))
    const asked = again.map(frame => ({ ...frame, text: frame.text.replace('}\n\n', ',"usage":null}\n\n') }))

    const [quiet, told] = [again, asked].map(frames => JSON.stringify(splice(delivered, frames)))

    expect(quiet).not.toContain('\\"usage\\"')
    expect(told).toContain('\\"usage\\":null')
  })

  test('keeps the id of a tool call that has begun', () => {
    const call0 = { index: 0, channel: 'call 0', text: 'find' }
    const delivered = stream([call0, ...say('tool 0', '{"a')], 'first').filter(({ kind }) => kind !== 'finish')

    const passed = splice(delivered, stream([call0, ...say('tool 0', '{"a":1}'), finish('tool_calls')]))

    expect(JSON.stringify(passed)).not.toContain('call_again')
  })

  test.each([
    ['a longer name of a tool', [{ index: 0, channel: 'call 0', text: 'finder' }]],
    ['content instead', say('content', 'Text')],
  ] as const)('finds that the answers differ at %s', (_, atoms) => {
    const delivered = stream([{ index: 0, channel: 'call 0', text: 'find' }], 'first').slice(0, 1)

    expect(splice(delivered, stream([...atoms, finish('stop')]))).toBe('differs')
  })

  test('differs when a choice that had finished says more', () => {
    const delivered = stream([...say('content', 'One'), finish('stop'), ...say('content', 'a', 1)], 'first').slice(0, 3)
    const second = [...say('content', 'One more'), finish('stop'), ...say('content', 'ab', 1), finish('stop', 1)]

    expect(splice(delivered, stream(second))).toBe('differs')
  })

  test('differs when log probabilities are missing, or come only now', () => {
    const withThem = ['Hel', 'lo'].map(token)
    const without = say('content', 'Hello')
    const end = [...say('content', '!'), finish('stop')]

    expect(splice(stream(withThem, 'first').slice(0, 1), stream([...without, ...end]))).toBe('differs')
    expect(splice(stream(without, 'first').slice(0, 1), stream([...withThem, ...end]))).toBe('differs')
  })

  test('has caught up only when every choice has', () => {
    const delivered = stream([...say('content', 'One'), ...say('content', 'Two', 1)], 'first').slice(0, 2)
    const begun = createSplice(transcriptOf(delivered))
    const [first, second] = stream([...say('content', 'One'), ...say('content', 'Two', 1)])
    if (first === undefined || second === undefined) throw new Error('two chunks were written')
    const half = stepSplice(begun, first)
    const all = half === 'differs' ? half : stepSplice(half[0], second)

    expect(half === 'differs' || isCaughtUp(half[0])).toBe(false)
    expect(all !== 'differs' && isCaughtUp(all[0])).toBe(true)
  })
})

describe('a transcript', () => {
  const opaque: readonly object[] = [
    { audio: { id: 'a' } },
    { function_call: { name: 'f', arguments: '' } },
    { content: [{ type: 'text', text: 'a' }] },
    { reasoning_details: [{ type: 'encrypted' }] },
    { tool_calls: [{ index: 0, id: 'a', function: { name: '' } }] },
    { tool_calls: [{ index: 0, id: 'a', type: 'custom', custom: { name: 'f' } }] },
    { tool_calls: [{ index: 0, id: 'a', type: 'custom', function: { name: 'f' } }] },
    {
      tool_calls: [
        { index: 0, function: { name: 'f' } },
        { index: 1, function: { name: 'f' }, extra_content: { a: 1 } },
      ],
    },
  ]
  test.each(opaque)('cannot be compared with %o in it', delta => {
    const chunk = { choices: [{ index: 0, delta, finish_reason: null }] }

    expect(transcriptOf([{ kind: 'delta', text: '', chunk, usage: null }]).comparable).toBe(false)
  })

  test.each([
    { delta: {}, logprobs: { content: null, refusal: [{ token: 'No' }] } },
    { delta: {}, logprobs: { content: [{ token: 'No' }], refusal: [{ token: 'No' }] } },
    { text: 'a', logprobs: { tokens: ['a'] } },
    { text: 'a', reasoning_content: 'Let me think' },
  ])('cannot be compared when a choice is %o', choice => {
    const chunk = { choices: [{ index: 0, finish_reason: null, ...choice }] }

    expect(transcriptOf([{ kind: 'delta', text: '', chunk, usage: null }]).comparable).toBe(false)
  })

  test('can be compared with a tool call of which some members say nothing', () => {
    const tool_calls = [{ index: 0, id: 'a', type: null, function: { name: 'f' }, extra_content: null }]
    const chunk = {
      choices: [{ index: 0, delta: { tool_calls }, finish_reason: null }],
    } as unknown as DataFrame['chunk']

    expect(transcriptOf([{ kind: 'delta', text: '', chunk, usage: null }]).comparable).toBe(true)
  })

  test('is given up when it grows past 256 kB', () => {
    const chunk = (content: string) => ({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
    const frame = (content: string): DataFrame => ({ kind: 'delta', text: '', chunk: chunk(content), usage: null })
    const full = frame('x'.repeat(256 * 1024))

    expect(transcriptOf([full]).comparable).toBe(true)
    expect(transcriptOf([full, frame('x')])).toMatchObject({ comparable: false, choices: new Map() })
  })
})
