import type { Endpoint } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { type IdempotencyStore, STORED_CHARACTERS_MAX, type StoredAnswer } from '#core/idempotency.ts'
import type { Writer, Writing } from '#core/writing.ts'
import { PING } from '#gateway/outlet.ts'
import { sha256 } from '#lib/hash.ts'
import type { Exchange } from '../exchange.ts'
import { eventStream, json } from '../reply.ts'

const HEADER = 'idempotency-key'
/** Visible ASCII only, without spaces: a header that was sent twice arrives joined by `, ` and does not match. */
const KEY = /^[\x21-\x7e]{1,255}$/
const RUNNING_RETRY_MS = 1000
const DONE = 'data: [DONE]\n\n'

/** The claimed idempotency key of a request. */
export interface Keyed {
  /** The stored answer to the same request, to be sent again; `null` when this request is the first. */
  readonly answer: StoredAnswer | null
  /** Stores a complete JSON answer. */
  keep(body: string): void
  /** Passes a stream on, and stores its text once it has ended with `[DONE]`. */
  record(body: Writing): Writing
  /** Frees the key, so that the request can be sent again. Does not remove a stored answer. */
  release(): void
}

/** Claims the idempotency key of a request; `null` when it has none. The claim ends with the answer, with an error, or
 * when the client disconnects.
 *
 * @throws GatewayError `invalid_request` for a malformed key, `idempotency_conflict` while a request with the same key
 * runs, `idempotency_mismatch` when the key was used with another body. */
export function claimKey(
  exchange: Exchange,
  store: IdempotencyStore,
  asked: { readonly endpoint: Endpoint; readonly text: string },
): Promise<Keyed> | null {
  const value = exchange.request.headers.get(HEADER)
  return value === null ? null : claim(exchange, store, { ...asked, value })
}

/** Sends a stored answer again. */
export function replay(exchange: Exchange, answer: StoredAnswer): Response | Promise<Response> {
  exchange.headers['idempotency-replayed'] = 'true'
  if (answer.contentType === 'text/event-stream') return eventStream(exchange, answer.body)
  return json(exchange, answer.body, answer.status)
}

async function claim(
  exchange: Exchange,
  store: IdempotencyStore,
  asked: { readonly endpoint: Endpoint; readonly text: string; readonly value: string },
): Promise<Keyed> {
  if (!KEY.test(asked.value)) {
    throw new GatewayError('invalid_request', `The header ${HEADER} takes 1 to 255 visible ASCII characters.`, {
      param: HEADER,
    })
  }
  const key = `${ownerOf(exchange)} ${asked.value}`
  const owner = exchange.record.id
  const found = await store.claim({ key, fingerprint: sha256(`${asked.endpoint}\n${asked.text}`), owner })
  if (found.kind === 'running') throw conflict()
  if (found.kind === 'mismatch') throw mismatch()
  const release = () => store.release(key, owner)
  if (found.kind === 'claimed') exchange.scope.onEnd(release)
  const keep = (contentType: string, body: string) => store.keep(key, owner, { status: 200, contentType, body })
  return {
    answer: found.kind === 'stored' ? found.answer : null,
    keep: body => keep('application/json', body),
    record: body => recorded(body, { keep: text => keep('text/event-stream', text), release }),
    release,
  }
}

/** The prefix that separates the keys of different callers, so that no caller gets another one's answer. */
function ownerOf({ caller, record }: Exchange): string {
  const named = caller !== null && caller.role !== 'anonymous'
  return named ? `key ${JSON.stringify([caller.tenant, caller.id])}` : `address ${record.address}`
}

/** Wraps a stream: collects its text while it is written, and stores it unless it is too long. Frees the key at the end. */
function recorded(
  body: Writing,
  own: { readonly keep: (text: string) => void; readonly release: () => void },
): Writing {
  const decoder = new TextDecoder()
  let text = ''
  const take = (events: string) => {
    if (events !== PING && text.length <= STORED_CHARACTERS_MAX) text += events
    // Stored before the client gets the end, so that a request that is repeated immediately finds the answer.
    if (events.endsWith(DONE) && text.length <= STORED_CHARACTERS_MAX) own.keep(text)
  }
  return {
    async write(to) {
      const writer: Writer = {
        write(piece) {
          take(typeof piece === 'string' ? piece : decoder.decode(piece))
          return to.write(piece)
        },
        flush: () => to.flush(),
        end: () => to.end(),
      }
      try {
        await body.write(writer)
      } finally {
        own.release()
      }
    },
    cancel() {
      own.release()
      body.cancel()
    },
  }
}

function conflict(): GatewayError {
  return new GatewayError('idempotency_conflict', 'A request with this idempotency key is still running.', {
    param: HEADER,
    retryAfterMs: RUNNING_RETRY_MS,
  })
}

function mismatch(): GatewayError {
  return new GatewayError('idempotency_mismatch', 'This idempotency key was used for another request.', {
    param: HEADER,
  })
}
