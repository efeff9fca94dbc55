import type { Socket } from 'node:net'
import { createRequestReader, type ReadRequest } from '#tests/support/request-reader.ts'
import { eventLoopTurn, readByPeer } from '#tests/support/socket-reads.ts'
import { flatten, type Step, type Steps } from '#tests/support/steps.ts'

/** What a scripted upstream does for each request. */
export type Script = Steps | ((request: RecordedRequest) => Steps | Promise<Steps>)

/** A request as the upstream got it, and what became of its connection. */
export interface RecordedRequest extends ReadRequest {
  /** Counts the upstream's requests from 0. */
  readonly index: number
  /** Counts the upstream's connections from 1. */
  readonly connection: number
  /** The body as text. */
  readonly body: string
  /** `performance.now()` when the last byte of the request was in. */
  readonly receivedAt: number
  /** `performance.now()` when the connection ended, or null while it is open. */
  readonly closedAt: number | null
  /** Resolves with `closedAt`; on a kept-alive connection that is long after the answer. */
  readonly closed: Promise<number>
  /** Who ended the connection. */
  readonly closedBy: 'client' | 'upstream' | null
  /** Resolves when every step is done, or when the connection ended before. */
  readonly played: Promise<void>
  /** Bytes of the steps that the kernel has taken whole. */
  readonly written: number
  json(): unknown
}

/** What a connection is served with. */
export interface Serving {
  readonly number: number
  readonly script: Script
  readonly reads: 'turn' | 'confirmed'
  readonly requests: RecordedRequest[]
  onRequest(): void
  onClose(): void
}

interface Connection {
  readonly socket: Socket
  readonly serving: Serving
  readonly closed: Promise<number>
  closedAt: number | null
  closedBy: 'client' | 'upstream' | null
}

/** Answers every request of one socket, in order, as the script says.
 *
 * @returns A function that drops the connection. */
export function serveConnection(socket: Socket, serving: Serving): () => void {
  const connection = watchClose(socket, serving)
  let turn = Promise.resolve()
  const read = createRequestReader(request => {
    const played = Promise.withResolvers<void>()
    const progress = { written: 0 }
    const recorded = recordRequest(request, connection, progress, played.promise)
    serving.requests.push(recorded)
    serving.onRequest()
    turn = turn.then(() => answer(recorded, connection, progress)).then(played.resolve)
  })
  socket.on('data', data => {
    try {
      read(typeof data === 'string' ? Buffer.from(data) : data)
    } catch {
      connection.closedBy ??= 'upstream'
      socket.end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n')
    }
  })
  return () => {
    connection.closedBy ??= 'upstream'
    socket.destroy()
  }
}

function watchClose(socket: Socket, serving: Serving): Connection {
  const closed = Promise.withResolvers<number>()
  const connection: Connection = { socket, serving, closed: closed.promise, closedAt: null, closedBy: null }
  const gone = () => {
    if (connection.closedAt !== null) return
    connection.closedBy ??= 'client'
    connection.closedAt = performance.now()
    closed.resolve(connection.closedAt)
  }
  socket.on('end', gone)
  socket.on('error', gone)
  socket.on('close', () => {
    gone()
    serving.onClose()
  })
  return connection
}

function recordRequest(
  request: ReadRequest,
  connection: Connection,
  progress: { readonly written: number },
  played: Promise<void>,
): RecordedRequest {
  const body = new TextDecoder().decode(request.bytes)
  return {
    ...request,
    index: connection.serving.requests.length,
    connection: connection.serving.number,
    body,
    receivedAt: performance.now(),
    closed: connection.closed,
    played,
    get closedAt() {
      return connection.closedAt
    },
    get closedBy() {
      return connection.closedBy
    },
    get written() {
      return progress.written
    },
    json: () => JSON.parse(body),
  }
}

async function answer(request: RecordedRequest, connection: Connection, progress: { written: number }): Promise<void> {
  const { script } = connection.serving
  const steps = flatten(typeof script === 'function' ? await script(request) : script)
  for (const step of steps) {
    if (connection.closedAt !== null) return
    await Promise.race([connection.closed, doStep(step, connection, progress)])
  }
}

async function doStep(step: Step, connection: Connection, progress: { written: number }): Promise<void> {
  const { socket } = connection
  switch (step.step) {
    case 'bytes':
      await write(socket, step.data)
      progress.written += step.data.length
      return connection.serving.reads === 'confirmed' ? readByPeer(socket) : eventLoopTurn()
    case 'pause':
      return new Promise(resolve => setTimeout(resolve, step.ms))
    case 'gate':
      step.reach()
      return step.opened
    case 'hang':
      return new Promise(() => {})
    case 'cut':
      connection.closedBy ??= 'upstream'
      socket.end()
      return
    case 'reset':
      // A RST that arrives before the client has read makes it drop the bytes that were to come first.
      await readByPeer(socket)
      connection.closedBy ??= 'upstream'
      socket.resetAndDestroy()
  }
}

/** Resolves when the kernel has taken the bytes; never on a connection that ended. */
function write(socket: Socket, data: Uint8Array): Promise<void> {
  return new Promise(resolve => {
    socket.write(data, error => {
      if (!error) resolve()
    })
  })
}
