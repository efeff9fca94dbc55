import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'

/** Lets the event loop look at its sockets once, so that a client in this loop reads what it has. */
export function eventLoopTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(() => setImmediate(resolve)))
}

/** Resolves when the other end has read all that was written, as the kernel's table of connections shows it.
 *
 * Gives up after 100 looks: a client that has stopped reading is a case to test, too. Without such a table (only Linux
 * has it) one turn of the event loop has to do. */
export async function readByPeer(socket: Socket): Promise<void> {
  const { localPort = 0, remotePort = 0 } = socket
  const row = new RegExp(`:${hexPort(remotePort)} \\w+:${hexPort(localPort)} \\w+ \\w+:(\\w+) `)
  for (let looks = 0; looks < 100 && !socket.destroyed; looks++) {
    await eventLoopTurn()
    const unread = row.exec(connectionTable())?.[1]
    if (unread === undefined || Number.parseInt(unread, 16) === 0) return
  }
}

function hexPort(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

function connectionTable(): string {
  try {
    return readFileSync('/proc/net/tcp', 'latin1')
  } catch {
    return ''
  }
}
