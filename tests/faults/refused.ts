import { gzipSync } from 'node:zlib'
import { openAiError } from '#tests/support/openai-upstream.ts'
import { bytes, chunk, head, html, json, type Steps } from '#tests/support/upstream.ts'
import { BROKEN, type Fault, LIMITED, plainHead, REFUSED, STORY, UNREADABLE } from './fault.ts'

const MEGABYTE = 1024 * 1024

const error = (status: number, headers: Readonly<Record<string, string>> = {}) =>
  openAiError(status, STORY, null, headers)
const rejected = (status: number, code: string, message: string) => json(status, { error: { code, message } })
/** The zeros say nothing and take no room on the wire. */
const bomb = (type: string): Steps => {
  const packed = gzipSync(Buffer.alloc(17 * MEGABYTE))
  const headers = { 'content-type': type, 'content-encoding': 'gzip', 'content-length': `${packed.length}` }
  return [head(200, headers), bytes(packed)]
}
const limits = [
  ['no wait', {}],
  ['a short wait', { 'retry-after': '2' }],
  ['a short wait in milliseconds', { 'retry-after-ms': '1500' }],
  ['a negative wait', { 'retry-after': '-5' }],
  ['an invalid wait', { 'retry-after': 'soon' }],
] as const
const longLimits = [
  ['seconds', () => ({ 'retry-after': '30' })],
  ['a date', () => ({ 'retry-after': new Date(Date.now() + 30_000).toUTCString() })],
  ['milliseconds', () => ({ 'retry-after-ms': '30000' })],
  ['years', () => ({ 'retry-after': '999999999' })],
] as const

/** What a server answers instead of an answer. */
export const REFUSED_BY: readonly Fault[] = [
  ...limits.map(([wait, headers]) => ({
    id: 'F15',
    name: `HTTP 429 with ${wait}`,
    calls: 'both' as const,
    play: () => error(429, headers),
    alone: LIMITED,
    again: true,
    waits: true,
  })),
  ...longLimits.map(([form, headers]) => ({
    id: 'F15',
    name: `HTTP 429 with a long wait in ${form}`,
    calls: 'both' as const,
    play: () => error(429, headers()),
    alone: LIMITED,
  })),
  ...[408, 500, 501, 502, 503, 504, 529].map(status => ({
    id: 'F16',
    name: `HTTP ${status}`,
    calls: 'both' as const,
    play: () => error(status),
    ...BROKEN,
  })),
  ...[401, 402, 403].map(status => ({
    id: 'F17',
    name: `HTTP ${status}`,
    calls: 'both' as const,
    play: () => error(status),
    alone: REFUSED,
  })),
  {
    id: 'F18',
    name: 'HTTP 400: the prompt is too long',
    calls: 'both',
    play: () => rejected(400, 'context_length_exceeded', 'The maximum context length is 8192 tokens.'),
    alone: { status: 400, code: 'context_length_exceeded' },
    final: true,
    larger: true,
  },
  {
    id: 'F18',
    name: 'HTTP 400: a filter refuses the content',
    calls: 'both',
    play: () => rejected(400, 'content_filter', 'The prompt was filtered.'),
    alone: { status: 400, code: 'content_policy_violation' },
    final: true,
  },
  {
    id: 'F18',
    name: 'HTTP 422: the request is wrong',
    calls: 'both',
    play: () => rejected(422, 'bad', 'temperature is wrong.'),
    alone: { status: 400, code: 'invalid_request' },
    final: true,
  },
  {
    id: 'F18',
    name: 'HTTP 404: does not have the model',
    calls: 'both',
    play: () => rejected(404, 'model_not_found', 'The model does not exist.'),
    alone: { status: 404, code: 'model_not_found' },
    final: true,
  },
  {
    id: 'F18',
    name: 'HTTP 413: the request is too large',
    calls: 'both',
    play: () => rejected(413, 'big', 'Too large.'),
    alone: { status: 413, code: 'request_too_large' },
    final: true,
  },
  {
    id: 'F19',
    name: 'sends a body of 1 GB',
    calls: 'plain',
    play: ({ stall }) => [plainHead(1024 * MEGABYTE), bytes('{'.repeat(MEGABYTE)), stall],
    ...UNREADABLE,
  },
  {
    id: 'F19',
    name: 'sends a body that unpacks to more than 16 MB',
    calls: 'both',
    play: ({ cell }) => bomb(cell.stream ? 'text/event-stream' : 'application/json'),
    ...UNREADABLE,
  },
  {
    id: 'F20',
    name: 'sends a web page under HTTP 200',
    calls: 'both',
    play: () => html(200),
    ...UNREADABLE,
  },
  {
    id: 'F20',
    name: 'HTTP 502 with a web page',
    calls: 'both',
    play: () => html(502),
    ...BROKEN,
  },
  {
    id: 'F20',
    name: 'HTTP 404 that does not mention a model',
    calls: 'both',
    play: () => json(404, { detail: 'Not Found' }),
    ...UNREADABLE,
  },
  { id: 'F20', name: 'HTTP 405', calls: 'both', play: () => html(405), ...UNREADABLE },
  { id: 'F20', name: 'HTTP 204', calls: 'stream', play: () => head(204), ...BROKEN },
  { id: 'F20', name: 'HTTP 204', calls: 'plain', play: () => head(204), ...UNREADABLE },
  {
    id: 'F20',
    name: 'sends a plain answer',
    calls: 'stream',
    play: ({ cell }) =>
      json(
        200,
        cell.endpoint === 'chat' ? { choices: [{ message: { content: 'Hi' } }] } : { choices: [{ text: 'Hi' }] },
      ),
    ...UNREADABLE,
  },
  {
    id: 'F21',
    name: 'sends a body that claims to be gzip and is not',
    calls: 'both',
    play: ({ cell }) => json(200, cell.whole, { 'content-encoding': 'gzip' }),
    ...UNREADABLE,
  },
  {
    id: 'F21',
    name: 'sends an unknown encoding',
    calls: 'both',
    play: ({ cell }) => json(200, cell.whole, { 'content-encoding': 'rot13' }),
    ...UNREADABLE,
  },
  ...[301, 302, 303, 307, 308].map(status => ({
    id: 'F22',
    name: `HTTP ${status}`,
    calls: 'both' as const,
    play: ({ elsewhere }: { readonly elsewhere: string }) =>
      head(status, { location: `${elsewhere}/stolen`, 'content-length': '0' }),
    ...UNREADABLE,
  })),
  {
    id: 'F23',
    name: 'sends headers of 2 MB',
    calls: 'both',
    play: ({ cell }) => json(200, cell.whole, { 'x-long': 'x'.repeat(2 * MEGABYTE) }),
    ...UNREADABLE,
  },
  {
    id: 'F23',
    name: 'sends a header line that breaks in two',
    calls: 'both',
    play: () => [bytes('HTTP/1.1 200 OK\r\nx-a: b\r\n c\r\n\r\n'), chunk('{}')],
    ...UNREADABLE,
  },
]
