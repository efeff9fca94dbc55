import { type Address, type Block, isInBlocks, parseBlock } from './net.ts'

/** What the registries of special-purpose addresses (RFC 6890, RFC 5736 and their successors at IANA) keep from the
 * public internet, and the address at which Azure's machines find their host, which looks public. Of IPv6 only 2000::/3
 * is public at all; within it stand relays that carry an IPv4 address. */
const PRIVATE = blocks(
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24',
  '192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4',
  '2001::/23 2001:db8::/32 2002::/16 3fff::/20',
)
const PUBLIC_IPV6 = blocks('2000::/3')

/** Whether an address belongs to the public internet. */
export function isPublicAddress(address: Address): boolean {
  return !isInBlocks(address, PRIVATE) && (address.family === 4 || isInBlocks(address, PUBLIC_IPV6))
}

function blocks(...texts: readonly string[]): readonly Block[] {
  return texts
    .join(' ')
    .split(' ')
    .map(parseBlock)
    .filter(block => block !== null)
}
