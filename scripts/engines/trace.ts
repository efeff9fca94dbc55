/** One request of a trace. */
export interface Request {
  /** Milliseconds since the beginning. */
  readonly at: number
  readonly conversation: number
  readonly model: string
  /** Tokens of its prompt, and those of them that an earlier prompt of the conversation began with. */
  readonly tokens: number
  readonly text: string
}

/** What a trace is made of. */
export interface TraceOptions {
  readonly requests: number
  readonly conversations: number
  readonly models: number
  /** The mean time between two requests, in milliseconds. */
  readonly gapMs: number
  readonly random: () => number
}

/** Tokens of a first prompt, and of what each turn adds. */
const FIRST_TOKENS = 300
const TURN_TOKENS = 60

/** Makes a trace: requests come by chance (Poisson), each the next turn of any of the conversations; each conversation
 * stays with its model. */
export function conversationTrace(options: TraceOptions): readonly Request[] {
  const turns = Array.from({ length: options.conversations }, () => 0)
  return arrivals(options).map(at => {
    const conversation = Math.floor(options.random() * options.conversations)
    const turn = turns[conversation] ?? 0
    turns[conversation] = turn + 1
    return {
      at,
      conversation,
      model: `model-${conversation % options.models}`,
      tokens: FIRST_TOKENS + turn * TURN_TOKENS,
      text: `Conversation ${conversation}`,
    }
  })
}

/** The same requests, shuffled and each with a prompt of its own: nothing that a server remembers is of use. */
export function unrelatedTrace(trace: readonly Request[], random: () => number): readonly Request[] {
  const shuffled = [...trace]
  for (let left = shuffled.length - 1; left > 0; left--) {
    const other = Math.floor(random() * (left + 1))
    const [a, b] = [shuffled[left], shuffled[other]]
    if (a === undefined || b === undefined) continue
    shuffled[left] = b
    shuffled[other] = a
  }
  return trace.map(({ at }, index) => ({
    ...(shuffled[index] as Request),
    at,
    conversation: index,
    text: `Unrelated prompt ${index}`,
  }))
}

function arrivals({ requests, gapMs, random }: TraceOptions): number[] {
  let at = 0
  return Array.from({ length: requests }, () => {
    at += -Math.log(1 - random()) * gapMs
    return at
  })
}
