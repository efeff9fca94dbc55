/** One request as its bytes came in, before the upstream adds what it knows about the socket. */
export interface ReadRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly bytes: Uint8Array
}

const endOfHead = Buffer.from('\r\n\r\n')

/** Creates a reader that cuts the bytes of one socket into requests, however they arrive.
 *
 * @param onRequest Called for each complete request, also for pipelined ones.
 * @returns A function that takes the next bytes; it throws on a request that is not HTTP/1.1. */
export function createRequestReader(onRequest: (request: ReadRequest) => void): (data: Uint8Array) => void {
  let buffer = Buffer.alloc(0)

  return data => {
    buffer = Buffer.concat([buffer, data])
    for (;;) {
      const parsed = parseRequest(buffer)
      if (!parsed) return
      buffer = buffer.subarray(parsed.length)
      onRequest(parsed.request)
    }
  }
}

function parseRequest(buffer: Buffer): { request: ReadRequest; length: number } | null {
  const headLength = buffer.indexOf(endOfHead)
  if (headLength < 0) return null
  const [requestLine = '', ...lines] = buffer.subarray(0, headLength).toString('latin1').split('\r\n')
  const [method, path, version] = requestLine.split(' ')
  if (!method || !path || version !== 'HTTP/1.1') throw new Error(`not an HTTP/1.1 request line: ${requestLine}`)
  const headers = parseHeaders(lines)
  const body = parseBody(buffer, headLength + endOfHead.length, headers)
  return body && { request: { method, path, headers, bytes: body.bytes }, length: body.end }
}

function parseHeaders(lines: readonly string[]): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = line.slice(colon + 1).trim()
    const before = headers[name]
    headers[name] = before === undefined ? value : `${before}, ${value}`
  }
  return headers
}

function parseBody(
  buffer: Buffer,
  start: number,
  headers: Readonly<Record<string, string>>,
): { bytes: Uint8Array; end: number } | null {
  if (headers['transfer-encoding']?.toLowerCase() === 'chunked') return parseChunks(buffer, start)
  const length = Number(headers['content-length'] ?? 0)
  if (!Number.isInteger(length) || length < 0) throw new Error(`bad content-length: ${headers['content-length']}`)
  const end = start + length
  return buffer.length < end ? null : { bytes: new Uint8Array(buffer.subarray(start, end)), end }
}

function parseChunks(buffer: Buffer, start: number): { bytes: Uint8Array; end: number } | null {
  const chunks: Uint8Array[] = []
  let at = start
  for (;;) {
    const lineEnd = buffer.indexOf('\r\n', at)
    if (lineEnd < 0) return null
    const size = Number.parseInt(buffer.subarray(at, lineEnd).toString('latin1'), 16)
    if (!Number.isInteger(size)) throw new Error('bad chunk size')
    const end = lineEnd + 2 + size + 2
    if (buffer.length < end) return null
    if (size === 0) return { bytes: new Uint8Array(Buffer.concat(chunks)), end }
    chunks.push(buffer.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = end
  }
}
