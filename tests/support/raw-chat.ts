import { callBody } from './gateway.ts'
import { type RawClient, rawClient } from './raw-client.ts'

const HEAD = 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n'

/** Makes the usual call on a socket of its own, since `fetch` hides reads, and how a body ends.
 *
 * @param more What its body says besides.
 * @param headers Further lines, each with its end. */
export function rawChat(port: number, more: object = {}, headers = ''): RawClient {
  const body = JSON.stringify(callBody(more))
  return rawClient(port, `${HEAD}${headers}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

/** Makes the usual call as a stream. */
export function rawStream(port: number, more: object = {}): RawClient {
  return rawChat(port, { stream: true, ...more })
}

/** Whether the last chunk of a body has come: it ended as it should, whatever was in it. */
export function isOver(text: string): boolean {
  return text.endsWith('\r\n0\r\n\r\n')
}

/** The last event of a stream, without `[DONE]`. */
export function lastEvent(text: string): unknown {
  return JSON.parse(/.*data: (\{.*?\})\n\n/s.exec(text)?.[1] ?? 'null')
}
