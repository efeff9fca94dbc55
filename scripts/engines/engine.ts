import type { Agenda } from './agenda.ts'
import type { Request } from './trace.ts'

/** How a simulated model server behaves. */
export interface EngineOptions {
  readonly agenda: Agenda
  readonly loadMs: number
  readonly msPerToken: number
  /** Conversations whose prompts it remembers. */
  readonly cached: number
  /** From the first token to the last. */
  readonly answerMs: number
}

/** A simulated model server: it holds one model, reads one prompt at a time, and writes any number of answers at once.
 * Another model is loaded when the answers under way are over; what was remembered is then lost. */
export interface Engine {
  readonly loaded: () => string | null
  readonly loads: () => number
  /** @param onToken Called at the first token. @param onEnd Called at the last one. */
  ask(request: Request, onToken: () => void, onEnd: () => void): void
}

interface Job {
  readonly request: Request
  readonly onToken: () => void
  readonly onEnd: () => void
}

/** Creates a server that has loaded this model, or none. */
export function createEngine(options: EngineOptions, first: string | null): Engine {
  const { agenda } = options
  const waiting: Job[] = []
  const cache = new Map<number, number>()
  let model = first
  let loads = 0
  let answering = 0
  let busy = false

  function next(): void {
    const [job] = waiting
    if (busy || job === undefined) return
    const known = job.request.model === model
    if (!known && answering > 0) return
    waiting.shift()
    busy = true
    if (known) {
      read(job)
      return
    }
    loads++
    model = null
    cache.clear()
    agenda.at(agenda.now() + options.loadMs, () => {
      model = job.request.model
      read(job)
    })
  }

  function read({ request, onToken, onEnd }: Job): void {
    const { conversation, tokens } = request
    const fresh = tokens - Math.min(tokens, cache.get(conversation) ?? 0)
    cache.delete(conversation)
    cache.set(conversation, tokens)
    for (const oldest of cache.keys()) {
      if (cache.size <= options.cached) break
      cache.delete(oldest)
    }
    agenda.at(agenda.now() + fresh * options.msPerToken, () => {
      busy = false
      answering++
      onToken()
      agenda.at(agenda.now() + options.answerMs, () => {
        answering--
        onEnd()
        next()
      })
      next()
    })
  }

  return {
    loaded: () => model,
    loads: () => loads,
    ask(request, onToken, onEnd) {
      waiting.push({ request, onToken, onEnd })
      next()
    },
  }
}
