/** An IP address as a number; an IPv4 address within IPv6 (`::ffff:1.2.3.4`) is the IPv4 address. */
export interface Address {
  readonly family: 4 | 6
  readonly value: bigint
}

/** A block of addresses: those that share the first `prefix` bits. */
export interface Block extends Address {
  readonly prefix: number
}

const MAPPED = 0xffffn
const HOPS_MAX = 32

/** Reads an IPv4 or IPv6 address; `null` when it is none. No leading zeros, no ports, no zone names. */
export function parseAddress(text: string): Address | null {
  if (!text.includes(':')) {
    const value = parseIPv4(text)
    return value === null ? null : { family: 4, value }
  }
  const value = parseIPv6(text)
  if (value === null) return null
  return value >> 32n === MAPPED ? { family: 4, value: value & 0xffffffffn } : { family: 6, value }
}

/** Reads a block such as `10.0.0.0/8`; a single address is a block of one. `null` when it is none. */
export function parseBlock(text: string): Block | null {
  const [host = '', bits, ...rest] = text.split('/')
  const address = parseAddress(host)
  if (address === null || rest.length > 0) return null
  const mapped = host.includes(':') && address.family === 4
  const length = address.family === 4 ? 32 : 128
  if (bits === undefined) return { ...address, prefix: length }
  const prefix = /^\d{1,3}$/.test(bits) ? Number(bits) - (mapped ? 96 : 0) : -1
  return prefix < 0 || prefix > length ? null : { ...address, prefix }
}

/** Whether an address lies in one of the blocks. */
export function isInBlocks(address: Address, blocks: readonly Block[]): boolean {
  return blocks.some(block => {
    if (block.family !== address.family) return false
    const shift = BigInt((block.family === 4 ? 32 : 128) - block.prefix)
    return block.value >> shift === address.value >> shift
  })
}

/** The address of the client: that of the peer, or behind trusted proxies the right-most hop that is not a trusted
 * proxy.
 *
 * Hops further left were reported by that hop and may be invented. The search ends at a hop that is not an address: the
 * last trusted hop is then the client.
 *
 * @returns The address in its one canonical form. */
export function clientAddress(peer: string, forwardedFor: string | null, trustedProxies: readonly Block[]): string {
  if (forwardedFor === null || trustedProxies.length === 0) return canonicalAddress(peer)
  const from = parseAddress(peer)
  if (from === null || !isInBlocks(from, trustedProxies)) return canonicalAddress(peer)
  let client = from
  const hops = forwardedFor.split(',')
  for (let at = hops.length - 1; at >= 0 && hops.length - at <= HOPS_MAX; at--) {
    const hop = parseAddress(withoutPort((hops[at] ?? '').trim()))
    if (hop === null) break
    client = hop
    if (!isInBlocks(hop, trustedProxies)) break
  }
  return formatAddress(client)
}

/** An address in its one canonical form; text that is no address stays as it is. */
export function canonicalAddress(text: string): string {
  if (!text.includes(':')) return text
  const address = parseAddress(text.replace(/%.*$/, ''))
  return address === null ? text : formatAddress(address)
}

/** What is counted as one client: an IPv4 address, or the /64 that an IPv6 customer has to himself. */
export function clientNetwork(text: string): string {
  const address = text.includes(':') ? parseAddress(text) : null
  if (address === null || address.family === 4) return canonicalAddress(text)
  return `${formatAddress({ family: 6, value: (address.value >> 64n) << 64n })}/64`
}

/** Writes an address as RFC 5952 wants it. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map(shift => (value >> shift) & 0xffn).join('.')
  const groups = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - index * 16)) & 0xffffn))
  const zeros = longestZeros(groups)
  const hex = (from: number, to: number) =>
    groups
      .slice(from, to)
      .map(group => group.toString(16))
      .join(':')
  if (zeros.length < 2) return hex(0, 8)
  return `${hex(0, zeros.start)}::${hex(zeros.start + zeros.length, 8)}`
}

/** Writes a host as it stands in a URL: an IPv6 address in brackets. */
export function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host
}

function longestZeros(groups: readonly number[]): { readonly start: number; readonly length: number } {
  let best = { start: 0, length: 0 }
  let start = 0
  for (let at = 0; at < groups.length; at++) {
    if (groups[at] !== 0) start = at + 1
    else if (at - start + 1 > best.length) best = { start, length: at - start + 1 }
  }
  return best
}

function parseIPv4(text: string): bigint | null {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every(part => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null
  return parts.reduce((sum, part) => (sum << 8n) | BigInt(part), 0n)
}

function parseIPv6(text: string): bigint | null {
  const halves = text.split('::')
  if (halves.length > 2 || text.length > 45) return null
  const [left, right] = halves.map((half, index) => parseGroups(half, index === halves.length - 1))
  if (left === null || left === undefined || right === null) return null
  if (right === undefined) return left.length === 8 ? join(left) : null
  const gap = 8 - left.length - right.length
  return gap < 1 ? null : join([...left, ...Array.from({ length: gap }, () => 0), ...right])
}

/** The 16-bit groups of one side of `::`; at the very end two of them may be written as an IPv4 address. */
function parseGroups(text: string, isEnd: boolean): readonly number[] | null {
  if (text === '') return []
  const groups: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (isEnd && part.includes('.') && index === parts.length - 1) {
      const value = parseIPv4(part)
      if (value === null) return null
      groups.push(Number(value >> 16n), Number(value & 0xffffn))
    } else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(Number.parseInt(part, 16))
    else return null
  }
  return groups.length > 8 ? null : groups
}

function join(groups: readonly number[]): bigint {
  return groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)
}

/** Removes the port that some proxies add to a hop: `1.2.3.4:5678`, `[::1]:5678`. */
function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(hop)
  if (bracketed !== null) return bracketed[1] ?? ''
  return hop.includes('.') ? hop.replace(/^([\d.]+):\d{1,5}$/, '$1') : hop
}
