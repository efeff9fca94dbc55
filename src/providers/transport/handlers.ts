import type { Socket, SocketHandler } from 'bun'
import type { Connection } from './connection.ts'
import type { Tunnel } from './tunnel.ts'

/** The end of a tunnel becomes the connection's own socket. */
export function takeOver(socket: Socket<Tunnel>, connection: Connection): void {
  socket.reload({
    socket: {
      data: (_, bytes) => connection.received(bytes),
      drain: () => connection.drained(),
      end: () => connection.ended(null),
      close: (_, error) => connection.ended(error ?? null),
      error: (_, error) => connection.ended(error),
    },
  })
  connection.opened(socket)
}

/** One table of handlers for all sockets: each socket carries its connection. */
export const HANDLERS: SocketHandler<Connection> = {
  open: socket => socket.data.opened(socket),
  handshake: (socket, ok, error) => {
    if (!socket.data.owns(socket)) return
    socket.data.secured(ok && socket.authorized ? null : (error ?? new Error('the certificate could not be verified')))
  },
  data: (socket, bytes) => socket.data.received(bytes),
  drain: socket => socket.data.drained(),
  end: socket => ended(socket, null),
  close: (socket, error) => ended(socket, error ?? null),
  error: (socket, error) => ended(socket, error),
}

function ended(socket: Socket<Connection>, error: Error | null): void {
  if (socket.data.owns(socket)) socket.data.ended(error)
}
