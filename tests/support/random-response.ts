/** The names that random headers have. */
export const RANDOM_NAMES: readonly string[] = [
  'content-length',
  'transfer-encoding',
  'content-encoding',
  'connection',
  'keep-alive',
  'content-type',
  'x-a',
  'x-b',
]

/** Draws numbers and from lists. */
export interface Draw {
  below(end: number): number
  of<T>(list: readonly [T, ...T[]]): T
  chance(of: number): boolean
}

/** Makes a drawer of a source of numbers from 0 up to but not including 1. */
export function drawer(random: () => number): Draw {
  const below = (end: number) => Math.floor(random() * end)
  return {
    below,
    of: list => list[below(list.length)] ?? list[0],
    chance: of => random() < of,
  }
}

/** Makes up an answer: most are valid, many are nearly so.
 *
 * @param sane How likely each decision is the one of a usual server. */
export function randomResponse(draw: Draw, sane = 0.94): Buffer {
  const parts: string[] = []
  while (draw.chance(0.08))
    parts.push(`HTTP/1.1 ${draw.of(['100', '103', '102', '199'])} x\r\n${lines(draw, [], sane)}\r\n`)
  const version = odd(draw, sane, 'HTTP/1.1', ['HTTP/1.0', 'HTTP/1.2', 'HTTP/2', 'http/1.1', 'HTTP/1.1 '])
  const status = odd(draw, sane, '200', ['204', '304', '404', '500', '101', '099', '20', '2000', '999', '2x0', '100'])
  const reason = draw.of([' OK', ' ', '', ' a\tb', ' \u00e9', ' \u0000', ' \u007f'])
  const body = randomBody(draw)
  const framed = frame(draw, body, sane)
  parts.push(`${version} ${status}${draw.chance(sane) ? ' OK' : reason}${lineEnd(draw, sane)}`)
  parts.push(lines(draw, framed.headers, sane), lineEnd(draw, sane), framed.body)
  if (draw.chance(0.06)) parts.push(draw.of(['HTTP/1.1 200 OK\r\n\r\n', '\r\n', 'x', '\u0000']))
  return spoiled(Buffer.from(parts.join(''), 'latin1'), draw, sane)
}

/** Cuts bytes at random places. */
export function randomSplit(length: number, draw: Draw): readonly number[] {
  const places = new Set<number>()
  for (let cuts = draw.below(6); cuts > 0 && length > 1; cuts--) places.add(1 + draw.below(length - 1))
  return [...places].sort((a, b) => a - b)
}

function odd<T>(draw: Draw, sane: number, usual: T, others: readonly [T, ...T[]]): T {
  return draw.chance(sane) ? usual : draw.of(others)
}

function lineEnd(draw: Draw, sane: number): string {
  return odd(draw, Math.max(sane, 0.985), '\r\n', ['\n', '\r', '\r\r\n', '\r\n '])
}

function randomBody(draw: Draw): string {
  const length = draw.of([0, 1, 2, 5, 16, 100, 300])
  return Array.from({ length }, () => String.fromCharCode(draw.below(256))).join('')
}

interface Framed {
  readonly headers: readonly string[]
  readonly body: string
}

function frame(draw: Draw, body: string, sane: number): Framed {
  const kind = draw.below(10)
  if (kind < 4) return { headers: lengths(draw, body.length, sane), body }
  if (kind < 8) {
    const coding = odd(draw, sane, 'chunked', [
      'Chunked',
      'chunked, chunked',
      'gzip, chunked',
      'xchunked',
      'identity',
      '',
    ])
    const headers = [`${draw.of(['transfer-encoding', 'Transfer-Encoding'])}: ${coding}`]
    if (!draw.chance(sane)) headers.push(...draw.of([['transfer-encoding: chunked'], lengths(draw, body.length, sane)]))
    return { headers, body: chunks(draw, body, sane) }
  }
  return { headers: [], body: kind === 8 ? body : '' }
}

function lengths(draw: Draw, length: number, sane: number): string[] {
  const value = odd(draw, sane, String(length), [
    `${length},${length}`,
    `+${length}`,
    `-${length}`,
    `0x${length}`,
    `00${length}`,
    '',
    String(length + 1),
    String(Math.max(0, length - 1)),
    '9'.repeat(16),
    `${length} `,
  ])
  const header = `${draw.of(['content-length', 'Content-Length', 'CONTENT-LENGTH'])}:${draw.of([' ', '', '\t', '  '])}${value}`
  return draw.chance(sane) ? [header] : [header, `content-length: ${draw.of([length, length + 1])}`]
}

function chunks(draw: Draw, body: string, sane: number): string {
  let text = ''
  for (let at = 0; at < body.length; ) {
    const size = 1 + draw.below(body.length - at)
    const digits = odd(draw, sane, size.toString(16), [
      size.toString(16).toUpperCase(),
      `0${size.toString(16)}`,
      '',
      '-1',
      'g',
      'fffffffffff',
      'ffffffffffff',
    ])
    const extension = odd(draw, sane, '', [
      ';a',
      ';a=b',
      ' ;a',
      ' ',
      '\t',
      ';"\r"',
      `;${'a'.repeat(4097)}`,
      `;${'a'.repeat(4095)}`,
    ])
    text += `${digits}${extension}${lineEnd(draw, sane)}${body.slice(at, at + size)}${lineEnd(draw, sane)}`
    at += size
  }
  const trailers = draw.chance(0.15)
    ? draw.of(['x-sum: 1\r\n', 'a: b\r\nc: d\r\n', 'content-length: 5\r\n', ': x\r\n', 'x\r\n', ' x\r\n'])
    : ''
  return `${text}${odd(draw, sane, '0', ['00', '000000000000', '0;a=b', '0 '])}${lineEnd(draw, sane)}${trailers}${lineEnd(draw, sane)}`
}

function lines(draw: Draw, framing: readonly string[], sane: number): string {
  const all = [...framing]
  for (let more = draw.below(4); more > 0; more--) all.splice(draw.below(all.length + 1), 0, header(draw, sane))
  if (!draw.chance(0.999)) all.push(...Array.from({ length: draw.of([196, 197, 198, 199, 200]) }, () => 'x-a: 1'))
  if (!draw.chance(0.999)) all.push(`x-b: ${'b'.repeat(draw.of([60_000, 65_400, 65_536, 70_000]))}`)
  return all.map(line => `${line}${lineEnd(draw, sane)}`).join('')
}

function header(draw: Draw, sane: number): string {
  if (!draw.chance(sane))
    return draw.of([
      'x a: 1',
      ': 1',
      'x-a',
      ' x-a: 1',
      'x-a : 1',
      'x-a: \u0000',
      'x-a: a\rb',
      '\u00e9: 1',
      'x-a: \u007f',
    ])
  return draw.of([
    'x-a: 1',
    'X-A:  two words \t',
    'x-b:',
    'x-b: \u00ff\u0080',
    'content-type: text/event-stream',
    'connection: close',
    'Connection: Keep-Alive',
    'connection: upgrade, close',
    'keep-alive: timeout=5',
    'content-encoding: identity',
    'content-encoding: gzip',
  ])
}

/** Damages a few bytes of some answers, and cuts others off. */
function spoiled(bytes: Buffer, draw: Draw, sane: number): Buffer {
  if (draw.chance(0.1)) return bytes.subarray(0, draw.below(bytes.length + 1))
  if (draw.chance(sane)) return bytes
  const at = draw.below(bytes.length)
  const byte = draw.of([0, 9, 10, 13, 32, 48, 58, 59, 97, 127, 128, 255])
  const by = Buffer.from([byte])
  const kind = draw.below(3)
  if (kind === 0) return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at + 1)])
  if (kind === 1) return Buffer.concat([bytes.subarray(0, at), by, bytes.subarray(at)])
  return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + 1 + draw.below(8))])
}
