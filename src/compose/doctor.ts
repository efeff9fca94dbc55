import type { Config } from '#config/schema.ts'
import type { Call, Endpoint } from '#core/call.ts'
import { systemClock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import { type Frame, isContent, type ToolCallPart } from '#core/frame.ts'
import { createRecord } from '#core/record.ts'
import { createScope } from '#core/scope.ts'
import type { ListedModel, Model, Server, Target } from '#core/servers.ts'
import { createDial } from '#gateway/upstream/dial.ts'
import type { JsonObject } from '#lib/json.ts'
import { PROVIDERS } from '#providers/index.ts'
import type { Outgoing } from '#providers/provider.ts'
import { createSocketTransport } from '#providers/transport/index.ts'
import { createAsk } from './asking.ts'
import { composeLines } from './lines.ts'
import { type Ask, createLister } from './listing.ts'

/** A plain answer of a server, and how long it took. */
export type Reply = Awaited<ReturnType<Ask>> & { readonly ms: number }

/** The result of a model call. */
export interface Trial {
  /** Milliseconds until the first content; `null` when there was none. */
  readonly firstMs: number | null
  readonly ms: number
  readonly hasUsage: boolean
  readonly toolCalls: readonly ToolCallPart[]
  readonly frames: readonly Frame[]
}

/** Asks servers as the gateway does, with its transport and translators, but without limits, retries and failover. */
export interface Examiner {
  /** @throws GatewayError when no answer comes. */
  ask(outgoing: Outgoing, timeoutMs: number): Promise<Reply>
  /** Lists all models of a server, with the details that it publishes at other addresses.
   *
   * @throws Error when it does not answer or has no list. */
  list(server: Server): Promise<readonly ListedModel[]>
  /** Calls a model.
   *
   * @throws GatewayError the one that callers of the gateway would get for the failure. */
  call(target: Target, model: Model, asked: Asked): Promise<Trial>
  close(): void
}

/** A model call to try. */
export interface Asked {
  readonly endpoint: Endpoint
  readonly body: JsonObject
  readonly timeoutMs: number
}

/** Builds the examiner of the servers of a configuration; each is reached through its own proxy and certificates. */
export function composeExaminer(config: Config): Examiner {
  const clock = systemClock()
  const usual = createSocketTransport({ clock })
  const lines = composeLines(clock, config)
  const transportTo = (url: string) => lines.to(url) ?? usual
  const record = createRecord({ id: 'doctor', startedAt: 0, startedNow: 0, method: 'POST', path: '', address: '' })
  const asking = { clock, transportFor: ({ baseUrl }: Pick<Server, 'baseUrl'>) => transportTo(baseUrl) }
  const dial = createDial({ providers: PROVIDERS, ...asking }, record)
  const question = createAsk(asking, 'configuration')

  async function ask(outgoing: Outgoing, timeoutMs: number): Promise<Reply> {
    const askedAt = clock.now()
    const reply = await question(outgoing, timeoutMs)
    return { ...reply, ms: clock.now() - askedAt }
  }

  return {
    ask,
    list: createLister(ask),
    async call(target, model, asked) {
      const scope = createScope(clock, { within: asked.timeoutMs, code: 'upstream_timeout' })
      const slot = { candidate: { target, model, reason: 'doctor' }, release() {} }
      const askedAt = clock.now()
      let firstMs: number | null = null
      const frames: Frame[] = []
      try {
        const live = await dial({ call: toCall(asked), slot, scope })
        for (let some = await live.next(); some.length > 0; some = await live.next()) {
          for (const frame of some) {
            if (frame.kind === 'error') throw frame.error
            if (firstMs === null && isContent(frame)) firstMs = clock.now() - askedAt
            frames.push(frame)
          }
        }
        live.close()
      } finally {
        scope.close()
      }
      return { firstMs, ms: clock.now() - askedAt, frames, ...read(frames) }
    },
    close() {
      usual.close()
      lines.close()
    },
  }
}

/** A model for a target that has no public name. */
export function modelFor(target: Target): Model {
  return {
    name: target.upstreamModel,
    aliases: [],
    targets: [target],
    fallbacks: [],
    class: null,
    capabilities: { context_length: null, tools: null, vision: null, prefill: false },
    weight: 1,
    ownedBy: target.server.id,
    created: 0,
    eligible: true,
  }
}

/** A model of a server as a target, with timeouts no longer than the doctor's. */
export function targetFor(server: Server, upstreamModel: string, timeoutMs: number): Target {
  const { timeouts } = server
  const within = Object.entries(timeouts).map(([name, ms]) => [name, Math.min(ms, timeoutMs)])
  return {
    id: `${server.id}/${upstreamModel}`,
    server,
    upstreamModel,
    weight: 1,
    maxConcurrent: 0,
    price: null,
    timeouts: { ...timeouts, ...Object.fromEntries(within) },
  }
}

function toCall({ endpoint, body }: Asked): Call {
  return {
    endpoint,
    model: null,
    body,
    source: null,
    stream: body.stream === true,
    wantsUsage: true,
    fallbacks: [],
    caller: {
      id: 'doctor',
      name: 'doctor',
      tenant: 'default',
      role: 'admin',
      models: null,
      limits: null,
      expiresAt: null,
    },
    priority: 'normal',
    traceparent: null,
  }
}

function read(frames: readonly Frame[]): Pick<Trial, 'hasUsage' | 'toolCalls'> {
  const data = frames.flatMap(frame => (frame.kind === 'error' ? [] : [frame]))
  const parts = data.flatMap(({ chunk }) => (chunk.choices ?? []).map(choice => choice.delta ?? choice.message))
  return {
    hasUsage: data.some(({ usage }) => usage !== null),
    toolCalls: parts.flatMap(part => part?.tool_calls ?? []),
  }
}

/** The provider of a server; `null` when its kind answers no model calls. */
export function dialectOf({ kind }: Server) {
  return PROVIDERS.get(kind) ?? null
}

/** The error for an answer that does not come from a model server. */
export function notAnAnswer(what: string): GatewayError {
  return new GatewayError('upstream_invalid_response', 'The model server sent an answer that could not be read.', {
    cause: what,
  })
}
