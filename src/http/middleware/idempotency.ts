import type { Endpoint } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { type IdempotencyStore, STORED_CHARACTERS_MAX, type StoredAnswer } from '#core/idempotency.ts'
import type { Writer, Writing } from '#core/writing.ts'
import { PING } from '#gateway/outlet.ts'
import { sha256 } from '#lib/hash.ts'
import type { Exchange } from '../exchange.ts'
import { eventStream, json } from '../reply.ts'

const HEADER = 'idempotency-key'
/** Visible characters only: a header that came twice, joined by a comma and a space, is none. */
const KEY = /^[\x21-\x7e]{1,255}$/
const RUNNING_RETRY_MS = 1000
const DONE = 'data: [DONE]\n\n'

/** What a request that came with an idempotency key does with its answer. */
export interface Keyed {
  /** The answer that was given before, for the edge to send again. */
  readonly answer: StoredAnswer | null
  /** Keeps a plain answer. */
  keep(body: string): void
  /** Lets a stream through and keeps its text once it has ended whole. */
  record(body: Writing): Writing
  /** Frees the key, so that the request can be sent again. */
  release(): void
}

/** Claims the idempotency key of a request, if it has one. The claim ends with the answer, with an error, or when the
 * client leaves.
 *
 * @throws GatewayError `idempotency_conflict` while a twin runs, `idempotency_mismatch` for another body. */
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

/** Whose key it is: nobody ever meets the answers of somebody else. */
function ownerOf({ caller, record }: Exchange): string {
  const named = caller !== null && caller.role !== 'anonymous'
  return named ? `key ${JSON.stringify([caller.tenant, caller.id])}` : `address ${record.address}`
}

/** Reads along, without keeping more than is worth it. */
function recorded(
  body: Writing,
  own: { readonly keep: (text: string) => void; readonly release: () => void },
): Writing {
  const decoder = new TextDecoder()
  let text = ''
  const take = (events: string) => {
    if (events !== PING && text.length <= STORED_CHARACTERS_MAX) text += events
    // Before the client has the end: whoever repeats the request at once gets the answer.
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
