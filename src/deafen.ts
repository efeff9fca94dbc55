import { dlopen } from 'bun:ffi'
import { closeSync, openSync, readdirSync } from 'node:fs'

/** The C library by the names that it has. */
const LIBRARIES = ['libc.so.6', 'libc.musl-x86_64.so.1', 'libc.musl-aarch64.so.1']
/** What is asked of a socket: whether it listens. */
const [SOL_SOCKET, SO_ACCEPTCONN] = [1, 30]
/** Room for an address of any family; its port stands in bytes 2 and 3. */
const ADDRESS_BYTES = 128

/** Closes the socket of this process that listens on a port, and nothing else.
 *
 * The runtime's own way closes idle connections with it, to which a client may just be sending. So another file, which
 * never has anything to say, is put in the socket's place: that closes the socket, and the runtime need not know.
 *
 * @returns Whether there was one, and a way to close it. */
export function closeListeningSocket(port: number): boolean {
  const system = loadSystem()
  if (system === null) return false
  let closed = false
  for (const descriptor of descriptors()) {
    if (!system.listens(descriptor) || system.port(descriptor) !== port) continue
    const silent = openSync('/dev/null', 'r')
    system.replace(descriptor, silent)
    closeSync(silent)
    closed = true
  }
  return closed
}

/** The few calls of the system that the runtime does not offer; `null` where there is no such library. */
function loadSystem() {
  const symbols = LIBRARIES.map(loadLibrary).find(library => library !== null)
  if (symbols === undefined) return null
  const value = new Int32Array(1)
  const length = new Int32Array(1)
  const address = new Uint8Array(ADDRESS_BYTES)
  return {
    replace: (descriptor: number, by: number) => symbols.dup2(by, descriptor),
    listens(descriptor: number): boolean {
      length[0] = value.byteLength
      return symbols.getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, value, length) === 0 && value[0] === 1
    },
    port(descriptor: number): number {
      length[0] = address.byteLength
      symbols.getsockname(descriptor, address, length)
      return new DataView(address.buffer).getUint16(2)
    },
  }
}

function loadLibrary(name: string) {
  try {
    const { symbols } = dlopen(name, {
      dup2: { args: ['i32', 'i32'], returns: 'i32' },
      getsockopt: { args: ['i32', 'i32', 'i32', 'ptr', 'ptr'], returns: 'i32' },
      getsockname: { args: ['i32', 'ptr', 'ptr'], returns: 'i32' },
    })
    return symbols
  } catch {
    return null
  }
}

function descriptors(): readonly number[] {
  try {
    return readdirSync('/proc/self/fd').map(Number)
  } catch {
    return []
  }
}
