import type { Candidate, Live, Plan, Slot } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import type { Caller } from '#core/caller.ts'
import type { Chunk, DataFrame, Frame } from '#core/frame.ts'
import type { Model, Server, Target, Timeouts } from '#core/servers.ts'
import { writeSse } from '#lib/sse.ts'

export const timeouts: Timeouts = {
  connect: 1000,
  first_byte: 5000,
  first_token: 5000,
  idle: 5000,
  total: 60_000,
  queue: 1000,
}

export const anyone: Caller = {
  id: 'anonymous',
  name: 'anonymous',
  tenant: 'default',
  role: 'anonymous',
  models: null,
  limits: null,
  expiresAt: null,
}

export function server(id: string, more: Partial<Server> = {}): Server {
  return {
    id,
    kind: 'openai_compatible',
    baseUrl: `http://${id}.test/v1`,
    role: null,
    secrets: [],
    headers: {},
    maxConcurrent: 0,
    timeouts,
    origin: 'configuration',
    ...more,
  }
}

export function target(serverId: string, more: Partial<Target> = {}): Target {
  return {
    id: `${serverId}/m`,
    server: server(serverId),
    upstreamModel: 'm',
    weight: 1,
    maxConcurrent: 0,
    price: null,
    timeouts,
    ...more,
  }
}

export function model(name: string, targets: readonly Target[], more: Partial<Model> = {}): Model {
  return {
    name,
    aliases: [],
    targets,
    fallbacks: [],
    class: null,
    capabilities: { context_length: null, tools: null, vision: null, prefill: false },
    weight: 1,
    ownedBy: 'test',
    created: 0,
    eligible: true,
    ...more,
  }
}

/** A plan over one model's targets on servers of these names. */
export function planFor(...servers: readonly string[]): Plan {
  const targets = servers.map(id => target(id))
  const only = model('m', targets)
  return {
    model: only,
    strategy: 'explicit',
    candidates: targets.map(each => ({ target: each, model: only, reason: 'test' })),
  }
}

export function slotFor(candidate: Candidate): Slot & { readonly released: () => number } {
  let released = 0
  return { candidate, release: () => void released++, released: () => released }
}

export function call(more: Partial<Call> = {}): Call {
  return {
    endpoint: 'chat',
    model: 'm',
    body: { model: 'm', messages: [{ role: 'user', content: 'Hi' }] },
    source: null,
    stream: true,
    wantsUsage: false,
    fallbacks: [],
    caller: anyone,
    priority: 'normal',
    traceparent: null,
    ...more,
  }
}

export function frame(kind: DataFrame['kind'], content = ''): DataFrame {
  const delta = kind === 'start' ? { role: 'assistant', content: '' } : kind === 'finish' ? {} : { content }
  const chunk: Chunk = {
    choices: kind === 'usage' ? [] : [{ index: 0, delta, finish_reason: kind === 'finish' ? 'stop' : null }],
  }
  return { kind, chunk, text: writeSse(JSON.stringify(chunk)), usage: null }
}

/** An answer that gives these batches, then ends or throws. */
export function liveOf(batches: readonly (readonly Frame[])[], end?: Error): Live & { readonly closed: () => number } {
  let at = 0
  let closed = 0
  const only = target('a')
  return {
    target: only,
    model: model('m', [only]),
    async next() {
      const batch = batches[at++]
      if (batch !== undefined) return batch
      if (end !== undefined) throw end
      return []
    },
    close: () => void closed++,
    closed: () => closed,
  }
}

export async function drain(live: Pick<Live, 'next'>): Promise<Frame[]> {
  const all: Frame[] = []
  for (let frames = await live.next(); frames.length > 0; frames = await live.next()) all.push(...frames)
  return all
}
