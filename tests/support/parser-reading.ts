import { GatewayError } from '#core/errors.ts'
import type { ResponseHead } from '#providers/transport/head.ts'
import { ResponseParser } from '#providers/transport/parser.ts'
import type { Reading, ReadingOptions } from '#tests/support/reference-parser.ts'
import { piecesOf, type Split } from '#tests/support/splits.ts'

/** Reads the bytes of a connection with the gateway's own parser, as they arrive.
 *
 * @throws whatever is no refusal of the parser's. */
export function parserReading(
  bytes: Uint8Array,
  split: Split | 'every-byte',
  { method, closed }: ReadingOptions,
  names: readonly string[],
): Reading {
  const parser = new ResponseParser()
  const reading = { status: 0, headers: {} as Record<string, string>, encoding: null as string | null, body: '' }
  let end: Reading['end'] = 'more'
  let surplus = false
  const sink = {
    onHead(head: ResponseHead, encoding: string | null) {
      reading.status = head.status
      reading.encoding = encoding
      for (const name of names) {
        const value = head.header(name)
        if (value !== null) reading.headers[name] = value
      }
    },
    onBody(piece: Buffer, from: number, to: number) {
      reading.body += piece.toString('latin1', from, to)
    },
    onEnd() {
      end = 'whole'
    },
  }
  const isOver = () => end === 'whole'
  parser.begin(method)
  try {
    for (const piece of piecesOf(bytes, split)) {
      // A connection whose answer has ended takes no more; the parser may move bytes about in what it is given.
      if (isOver()) surplus = true
      else parser.push(Buffer.from(piece), sink)
    }
    if (closed && !isOver()) parser.finish(sink)
  } catch (thrown) {
    if (!(thrown instanceof GatewayError) || thrown.code !== 'upstream_invalid_response') throw thrown
    return { ...reading, end: 'broken', persistent: false }
  }
  return { ...reading, end, persistent: isOver() && !surplus && parser.persistent }
}
