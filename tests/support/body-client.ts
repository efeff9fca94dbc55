import { createHash } from 'node:crypto'
import { connect } from 'node:net'

/** What is left of an answer that is too large to be kept a thousand times. */
export interface BodyDigest {
  readonly status: number
  /** Bytes of the body, without the framing of its chunks. */
  readonly bytes: number
  readonly sha256: string
}

/** A request of which only the digest of the answer is kept. */
export interface BodyClient {
  /** Resolves with the first byte of the body. */
  readonly begun: Promise<void>
  readonly done: Promise<BodyDigest>
}

/** Sends a request to a port on loopback and reads its chunked answer to the end. */
export function bodyClient(port: number, request: string): BodyClient {
  const begun = Promise.withResolvers<void>()
  const done = Promise.withResolvers<BodyDigest>()
  const hash = createHash('sha256')
  const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => socket.write(request))
  let rest = Buffer.alloc(0)
  let status = 0
  let bytes = 0
  let left = 0

  function finish(): void {
    socket.destroy()
    done.resolve({ status, bytes, sha256: hash.digest('hex') })
  }

  /** Takes one part of what has come; `false` when it is not whole yet. */
  function take(): boolean {
    if (left > 0) {
      const part = rest.subarray(0, left)
      hash.update(part)
      bytes += part.length
      left -= part.length
      rest = rest.subarray(part.length)
      begun.resolve()
      return rest.length > 0
    }
    const end = rest.indexOf(status === 0 ? '\r\n\r\n' : '\r\n', rest[0] === 13 ? 2 : 0)
    if (end < 0) return false
    const line = rest.toString('latin1', 0, end)
    rest = rest.subarray(end + (status === 0 ? 4 : 2))
    if (status === 0) {
      status = Number(line.slice(9, 12))
      if (!/\ntransfer-encoding: *chunked/i.test(line)) socket.destroy()
    } else left = Number.parseInt(line.trim(), 16)
    if (left === 0 && /^\s*0+$/.test(line)) finish()
    return rest.length > 0
  }

  socket.on('data', data => {
    const read = typeof data === 'string' ? Buffer.from(data) : data
    rest = rest.length === 0 ? read : Buffer.concat([rest, read])
    while (take());
  })
  const fail = (error: Error) => {
    begun.reject(error)
    done.reject(error)
  }
  socket.on('error', fail)
  socket.on('close', () => fail(new Error('the connection closed before a whole chunked answer was there')))
  return { begun: begun.promise, done: done.promise }
}
