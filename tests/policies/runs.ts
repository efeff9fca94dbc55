import type { Call } from '#core/call.ts'
import type { Choice, DataFrame, Frame } from '#core/frame.ts'
import { writeSse } from '#lib/sse.ts'
import { logprobEntries } from '#policies/pieces.ts'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { replay } from '#tests/providers/replay.ts'

/** One thing that an answer says, as small as it may be cut. */
export interface Atom {
  readonly index: number
  /** `content`, `reasoning_content`, `text`, `tool 0`, `call 0` (its beginning), `finish`, `usage`. */
  readonly channel: string
  readonly text: string
  readonly entry?: object
  readonly raw?: unknown
}

/** Reads a stream as the gateway does; only data frames, since these streams are whole. */
export function framesOf(asked: Call, body: string): DataFrame[] {
  return replay(openaiCompatible, asked, body).frames.filter((frame): frame is DataFrame => frame.kind !== 'error')
}

/** Takes an answer apart, character by character, or token by token where log probabilities go with them. */
export function atomsOf(frames: readonly DataFrame[]): Atom[] {
  return frames.flatMap(({ chunk, kind }): Atom[] => {
    if (kind === 'usage') return [{ index: 0, channel: 'usage', text: '', raw: chunk.usage }]
    return (chunk.choices ?? []).flatMap(choiceAtoms)
  })
}

function choiceAtoms(choice: Choice): Atom[] {
  const index = choice.index ?? 0
  const atoms: Atom[] = []
  const say = (channel: string, text: string | null | undefined) => {
    for (const character of (text ?? '').split('')) atoms.push({ index, channel, text: character })
  }
  const entries = logprobEntries(choice)
  if (choice.text !== undefined) say('text', choice.text)
  // Thinking has two names.
  say('reasoning_content', choice.delta?.reasoning_content || choice.delta?.reasoning)
  say('refusal', choice.delta?.refusal)
  if (entries === null) say('content', choice.delta?.content as string | null)
  else for (const entry of entries) atoms.push({ index, channel: 'content', text: String(entry.token), entry })
  for (const tool of choice.delta?.tool_calls ?? []) {
    const at = tool.index ?? 0
    if (tool.function?.name !== undefined) atoms.push({ index, channel: `call ${at}`, text: tool.function.name })
    say(`tool ${at}`, tool.function?.arguments)
  }
  if (choice.finish_reason) atoms.push({ index, channel: 'finish', text: choice.finish_reason })
  return atoms
}

/** Writes an answer as a stream of another server: other ids, and other pieces as chance has it. */
export function streamOf(atoms: readonly Atom[], run: string, random: () => number): string {
  let body = ''
  let joined: Atom[] = []
  const begun = new Set<number>()
  const flush = () => {
    const [first] = joined
    if (first === undefined) return
    body += writeSse(JSON.stringify(chunkOf(joined, first, run, !begun.has(first.index))))
    if (first.channel !== 'usage') begun.add(first.index)
    joined = []
  }
  for (const atom of atoms) {
    const [first] = joined
    const fits = first?.channel === atom.channel && first.index === atom.index && !/^(?:call|finish)/.test(atom.channel)
    if (!fits || random() < 0.3) flush()
    joined.push(atom)
  }
  flush()
  return `${body}data: [DONE]\n\n`
}

function chunkOf(joined: readonly Atom[], { index, channel, raw }: Atom, run: string, isFirst: boolean): object {
  const head = { id: `chatcmpl-${run}`, object: 'chat.completion.chunk', created: run.length, model: `model-${run}` }
  if (channel === 'usage') return { ...head, choices: [], usage: raw }
  const text = joined.map(atom => atom.text).join('')
  const finish_reason = channel === 'finish' ? text : null
  if (channel === 'text') return { ...head, choices: [{ index, text, finish_reason }] }
  const entries = joined.flatMap(atom => atom.entry ?? [])
  const logprobs = entries.length > 0 ? { content: entries, refusal: null } : null
  const delta = { ...(isFirst && { role: 'assistant' }), ...deltaOf(channel, text, run) }
  return { ...head, choices: [{ index, delta, logprobs, finish_reason }] }
}

function deltaOf(channel: string, text: string, run: string): object {
  const [kind, at] = channel.split(' ')
  if (kind === 'finish') return {}
  if (kind === 'tool') return { tool_calls: [{ index: Number(at), function: { arguments: text } }] }
  if (kind !== 'call') return { [channel]: text }
  const call = { index: Number(at), id: `call_${run}_${at}`, type: 'function', function: { name: text, arguments: '' } }
  return { tool_calls: [call] }
}

/** What a caller makes of the frames: everything put together. */
export function heard(frames: readonly Frame[]) {
  const texts: Record<string, string> = {}
  const finishes: Record<number, string[]> = {}
  const [ids, tokens, usages]: [Set<unknown>, Record<number, unknown[]>, unknown[]] = [new Set(), {}, []]
  let roles = 0
  for (const frame of frames) {
    if (frame.kind === 'error') throw frame.error
    const chunk = JSON.parse(frame.text.slice('data: '.length))
    ids.add([chunk.id, chunk.created, chunk.model].join())
    if (chunk.usage) usages.push(chunk.usage)
    for (const choice of chunk.choices) {
      if (choice.delta?.role !== undefined) roles++
      tokens[choice.index] = [...(tokens[choice.index] ?? []), ...(choice.logprobs?.content ?? [])]
    }
    for (const { index, channel, text } of atomsOf([{ ...frame, chunk }])) {
      if (channel === 'finish') finishes[index] = [...(finishes[index] ?? []), text]
      else if (channel !== 'usage') texts[`${index} ${channel}`] = (texts[`${index} ${channel}`] ?? '') + text
    }
  }
  return { texts, finishes, tokens, usages, ids: ids.size, roles }
}
