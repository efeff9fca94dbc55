import { createResponseReader, type ResponseEvents } from './response-reader.ts'

/** What a connection tells its owner. */
export interface ClientEvents extends ResponseEvents {
  onOpen(): void
  /** The connection ended, or never began. */
  onClose(): void
}

/** A kept-alive connection; its owner sends the next request when the response to the last one is in. */
export interface Client {
  send(request: Uint8Array): void
  close(): void
}

interface Sending {
  rest: Uint8Array | null
}

/** Opens a connection that does as little as an HTTP client can, so that it costs less than what it measures. */
export function openClient(port: number, events: ClientEvents): Client {
  const sending: Sending = { rest: null }
  const read = createResponseReader(events)
  let socket: Bun.Socket | null = null
  const connecting = Bun.connect({
    hostname: '127.0.0.1',
    port,
    socket: {
      open(opened) {
        socket = opened
        opened.setNoDelay(true)
        events.onOpen()
      },
      drain: opened => writeOn(opened, sending.rest, sending),
      data: (_, data) => read(data),
      close: () => events.onClose(),
    },
  })
  connecting.catch(() => events.onClose())
  return {
    send: request => writeOn(socket, request, sending),
    close: () => void socket?.end(),
  }
}

/** Writes what the socket takes now and keeps a copy of the rest: the caller writes over its bytes. */
function writeOn(socket: Bun.Socket | null, data: Uint8Array | null, sending: Sending): void {
  if (!socket || !data) return
  const written = Math.max(0, socket.write(data))
  sending.rest = written < data.length ? data.slice(written) : null
}
