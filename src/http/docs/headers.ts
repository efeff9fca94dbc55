import type { Registry } from './registry.ts'

type Reference = { readonly $ref: string }

const text = (description: string, example: string) => ({ description, schema: { type: 'string' as const }, example })
const count = (description: string, example: number) => ({ description, schema: { type: 'integer' as const }, example })

const FULL = 'With every 429, and with `gateway.headers: full`.'

/** Every response header of the gateway, by its name. */
const HEADERS = {
  'x-request-id': text(
    'The id of this request, made by the gateway. Logs have it too: quote it when you ask for help.',
    '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f',
  ),
  'x-citadel-model': text(
    'The public name of the model that answered; what of it is not ASCII is percent-encoded.',
    'citadel-demo',
  ),
  'x-citadel-server': text('The id of the server that answered.', 'gpu-1'),
  'x-citadel-attempts': count('How many attempts at servers this answer took.', 1),
  'x-citadel-dropped-parameters': text(
    'The parameters that the server which answered has no place for; absent when there are none.',
    'seed, logit_bias',
  ),
  'x-citadel-gateway': text('The version of the gateway: by this header a gateway knows another one.', '0.1.0'),
  'x-citadel-overhead-ms': text(
    'What the gateway itself has added, in milliseconds, without the wait for a place at a server. With `gateway.headers: full`, where a server was asked.',
    '1.2',
  ),
  'x-citadel-cost': text(
    'What the call costs, in USD. With `gateway.headers: full`, of plain answers whose price is known.',
    '0.0000125',
  ),
  'server-timing': text(
    'The time of the gateway until it asked the server, the wait for a place there (`queue`, if there was one), and the time of the server. With `gateway.headers: full`.',
    'gateway;dur=0.8, upstream;dur=412.5',
  ),
  'x-citadel-cache': text(
    'What the cache did: `hit`, `miss`, `coalesced` with an equal call that was under way, or `bypass`. Absent while it is off.',
    'hit',
  ),
  'cache-status': text('The same in the standard form of RFC 9211.', 'citadel; hit; ttl=3540'),
  age: count('How old a stored answer is, in seconds.', 60),
  'idempotency-replayed': text(
    '`true` when this is the stored answer to an earlier request with the same idempotency key.',
    'true',
  ),
  'x-should-retry': text('`false` when trying again would only repeat what the gateway already tried.', 'false'),
  'retry-after': count('Seconds until trying again can help.', 2),
  'retry-after-ms': count('The same in milliseconds.', 1500),
  'x-ratelimit-limit-requests': count('The limit that is tightest now, in requests.', 100),
  'x-ratelimit-remaining-requests': count('How many requests it still admits.', 0),
  'x-ratelimit-reset-requests': text(`Until the limit is full again. ${FULL}`, '1m30s'),
  'x-ratelimit-limit-tokens': count('The limit that is tightest now, in tokens, where they are limited.', 100_000),
  'x-ratelimit-remaining-tokens': count('How many tokens it still admits.', 91_000),
  'x-ratelimit-reset-tokens': text(`Until the limit is full again. ${FULL}`, '5s'),
  'x-citadel-note': text(
    'Why the report does not say all that happened; absent where it does.',
    'from is in the future; days are those of UTC.',
  ),
  'x-citadel-next': text('Where the next page begins, for `after`; absent on the last one.', '1000'),
} as const

type HeaderName = keyof typeof HEADERS

/** Makes the headers known to a document, so that responses can refer to them. */
export function registerHeaders(registry: Registry): void {
  for (const [name, header] of Object.entries(HEADERS)) registry.registerComponent('headers', name, header)
}

/** Refers to headers by name, `x-request-id` always among them. */
export function headerReferences(names: readonly string[]): Record<string, Reference> {
  return Object.fromEntries(['x-request-id', ...names].map(name => [name, { $ref: `#/components/headers/${name}` }]))
}

/** The headers that the error responses of a status have beside `x-request-id`. */
export function errorHeaders(status: number): readonly HeaderName[] {
  if (status === 429)
    return [
      'retry-after',
      'retry-after-ms',
      'x-should-retry',
      'x-ratelimit-limit-requests',
      'x-ratelimit-remaining-requests',
      'x-ratelimit-reset-requests',
      'x-ratelimit-limit-tokens',
      'x-ratelimit-remaining-tokens',
      'x-ratelimit-reset-tokens',
    ]
  if (status === 409 || status === 503) return ['retry-after', 'retry-after-ms', 'x-should-retry']
  return status >= 500 ? ['x-should-retry'] : []
}
