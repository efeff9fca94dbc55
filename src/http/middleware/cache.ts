import type { CacheNote, CacheWishes } from '#core/cache.ts'
import type { Exchange } from '../exchange.ts'

const ANY: CacheWishes = { read: true, store: true, share: true, maxAgeMs: Infinity, onlyStored: false }
const ANY_ALONE: CacheWishes = { ...ANY, share: false }

/** Reads what a request asks of the cache from `cache-control` (RFC 9111, section 5.2.1). `no-cache` asks for a new
 * answer, which may be stored; `no-store` neither reads nor stores; `max-age` bounds the age of a stored answer;
 * `only-if-cached` accepts stored answers only. Other directives are ignored: they make no sense for model answers.
 *
 * @param keyed Whether the request has an idempotency key. It then never shares an answer with another request. */
export function cacheWishesOf(headers: Headers, keyed: boolean): CacheWishes {
  const control = headers.get('cache-control')
  if (control === null) return keyed ? ANY_ALONE : ANY
  const directives = new Map(control.toLowerCase().split(',').map(toDirective))
  const stores = !directives.has('no-store')
  const seconds = /^\d{1,10}$/.test(directives.get('max-age') ?? '') ? Number(directives.get('max-age')) : Infinity
  return {
    read: stores && !directives.has('no-cache') && seconds > 0,
    store: stores,
    share: !keyed,
    maxAgeMs: seconds * 1000,
    onlyStored: directives.has('only-if-cached'),
  }
}

/** Writes what the cache did into `x-citadel-cache` and into the standard `cache-status` (RFC 9211). */
export function writeCacheHeaders({ headers, request, record }: Exchange, { status, ageMs, leftMs }: CacheNote): void {
  headers['x-citadel-cache'] = status
  if (status === 'hit') {
    headers['cache-status'] = `citadel; hit; ttl=${Math.floor(leftMs / 1000)}`
    headers.age = String(Math.floor(ageMs / 1000))
  } else if (status === 'bypass') {
    headers['cache-status'] = `citadel; fwd=${cacheWishesOf(request.headers, false).read ? 'bypass' : 'request'}`
  } else {
    const why = record.foundTooOld ? 'request' : 'uri-miss'
    headers['cache-status'] = `citadel; fwd=${why}${status === 'coalesced' ? '; collapsed' : ''}`
  }
}

function toDirective(text: string): readonly [name: string, value: string] {
  const [name = '', value = ''] = text.trim().split('=')
  return [name.trim(), value.trim().replaceAll('"', '')]
}
