import { timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { z } from 'zod'
import type { Clock } from '#core/clock.ts'
import { GatewayError } from '#core/errors.ts'
import type { EventStore } from '#core/events.ts'
import type { Journal } from '#core/journal.ts'
import { sha256 } from '#lib/hash.ts'
import { isSignedBy } from '#lib/standard-webhooks.ts'
import { type AlertGroup, alertGroup, type StatusReport, statusReport } from '#wire/webhooks.ts'
import { parseBody } from '../parse.ts'
import type { Orchestration } from './orchestrate.ts'
import { reached } from './reached.ts'

export interface ReceiverDeps {
  readonly clock: Pick<Clock, 'time'>
  readonly journal: Journal
  /** The secret of each kind of webhook. */
  readonly secrets: () => Readonly<Record<string, string>>
  /** Remembers the ids of messages. */
  readonly claim: EventStore['claim']
  readonly orchestration: Pick<Orchestration, 'alert' | 'report'>
}

/** A message as it comes. */
export interface Delivered {
  readonly type: string
  readonly headers: Pick<Headers, 'get'>
  /** Reads the body, which is signed as it is. */
  readonly body: () => Promise<string>
}

/** A message that is genuine. */
interface Genuine {
  /** What it is remembered by; `null` where it need not be. */
  readonly message: string | null
  readonly text: string
}

/** Takes webhooks.
 *
 * @returns How many servers it has changed something for.
 * @throws GatewayError `invalid_signature` for all that is not certainly genuine, `invalid_request`,
 * `dependency_unavailable`. */
export type Receiver = (delivered: Delivered) => Promise<number>

const ALERTMANAGER = 'alertmanager'
const TOLERANCE_SECONDS = 300
const IN_VAIN_MAX = 1000
const ID = /^[\x21-\x7e]{1,200}$/
const SECONDS = /^\d{1,12}$/

/** Creates the receiver. A kind without a secret takes nothing. */
export function createReceiver(deps: ReceiverDeps): Receiver {
  const { clock, journal, orchestration } = deps
  // Genuine messages that came to nothing because the store was away. Their sender is told so, and sends them again.
  const inVain = new LRUCache<string, true>({ max: IN_VAIN_MAX })

  /** Reads the body only of what may be genuine: who has no secret costs nothing. */
  async function admit({ type, headers, body }: Delivered): Promise<Genuine> {
    const all = deps.secrets()
    const secret = Object.hasOwn(all, type) ? all[type] : undefined
    if (secret === undefined) throw notGenuine()
    const credential = headers.get('authorization')
    if (type === ALERTMANAGER && credential !== null) {
      if (!hasCredential(credential, secret)) throw notGenuine()
      return { message: null, text: await body() }
    }
    const signed = signatureOf(headers)
    if (signed === null || Math.abs(clock.time() / 1000 - signed.seconds) > TOLERANCE_SECONDS) throw notGenuine()
    const text = await body()
    if (!isGenuine(secret, signed, text)) throw notGenuine()
    const message = `${type}:${signed.id}`
    const isNew = await rememberInVain(message, () => reached(deps.claim(`webhook:${type}`, signed.id, clock.time())))
    const wasInVain = inVain.delete(message)
    if (!isNew && !wasInVain) throw notGenuine()
    return { message, text }
  }

  /** Does something with a message, and remembers it where that fails because the store is away. */
  async function rememberInVain<T>(message: string | null, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (thrown) {
      if (message !== null && thrown instanceof GatewayError && thrown.code === 'dependency_unavailable')
        inVain.set(message, true)
      throw thrown
    }
  }

  async function takeAlerts({ alerts }: AlertGroup): Promise<number> {
    let applied = 0
    for (const { status, labels, fingerprint } of alerts) {
      const { server, action } = labels
      if (server === undefined) continue
      const effect = action === 'drain' ? ('draining' as const) : ('degraded' as const)
      const alert = `alertmanager:${fingerprint ?? sha256(JSON.stringify(labels)).slice(0, 16)}`
      if (await orchestration.alert(server, alert, status === 'firing' ? effect : null)) applied++
    }
    return applied
  }

  async function takeStatus({ server_id, status, load_metrics }: StatusReport): Promise<number> {
    const effect = { healthy: null, degraded: 'degraded', unhealthy: 'draining' } as const
    const changed = await orchestration.alert(server_id, 'server_status', effect[status])
    const reported = load_metrics !== undefined && (await orchestration.report(server_id, load_metrics))
    return changed || reported ? 1 : 0
  }

  async function take(type: string, text: string): Promise<number> {
    if (type === ALERTMANAGER) return takeAlerts(parsed(text, alertGroup))
    return type === 'server_status' ? takeStatus(parsed(text, statusReport)) : 0
  }

  return async delivered => {
    const { type } = delivered
    try {
      const { message, text } = await admit(delivered)
      const applied = await rememberInVain(message, () => take(type, text))
      journal.note({ type: 'webhook-received', webhook: type, ok: true })
      return applied
    } catch (thrown) {
      journal.note({ type: 'webhook-received', webhook: type, ok: false })
      throw thrown
    }
  }
}

/** The headers of a message that is signed. */
interface Signed {
  readonly id: string
  readonly seconds: number
  readonly signature: string
}

/** Reads the headers of https://www.standardwebhooks.com; `null` where one is missing or cannot be right. */
function signatureOf(headers: Delivered['headers']): Signed | null {
  const id = headers.get('webhook-id') ?? ''
  const seconds = headers.get('webhook-timestamp') ?? ''
  const signature = headers.get('webhook-signature') ?? ''
  if (!ID.test(id) || !SECONDS.test(seconds) || signature === '') return null
  return { id, seconds: Number(seconds), signature }
}

function isGenuine(secret: string, { id, seconds, signature }: Signed, text: string): boolean {
  // Reading takes a byte order mark away, with which the body was signed.
  return ['', '\ufeff'].some(mark => isSignedBy(secret, { id, seconds, body: mark + text }, signature))
}

/** `Bearer SECRET`, or `Basic` with the secret as the password or as `user:password`. */
function hasCredential(header: string, secret: string): boolean {
  const space = header.indexOf(' ')
  const [scheme, value] = [header.slice(0, Math.max(0, space)).toLowerCase(), header.slice(space + 1).trim()]
  if (scheme === 'bearer') return isSame(value, secret)
  if (scheme !== 'basic') return false
  const pair = Buffer.from(value, 'base64').toString()
  return isSame(pair, secret) || isSame(pair.slice(pair.indexOf(':') + 1), secret)
}

/** Compares in a time that tells nothing. */
function isSame(given: string, secret: string): boolean {
  return timingSafeEqual(Buffer.from(sha256(given)), Buffer.from(sha256(secret)))
}

function parsed<T extends z.ZodType>(body: string, schema: T): z.output<T> {
  const result = schema.safeParse(parseBody(body))
  if (result.success) return result.data
  const details = result.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
  throw new GatewayError('invalid_request', 'The body does not fit this kind of webhook.', { details })
}

/** One answer for a kind that is not configured, a wrong signature, an old message, and one that came before. */
function notGenuine(): GatewayError {
  return new GatewayError('invalid_signature', 'The webhook carries no valid signature.')
}
