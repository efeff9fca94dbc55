import type { Clock } from '#core/clock.ts'

/** How long the addresses of a name are used, in milliseconds: the system's resolver tells no time to live, and the
 * names of a cluster follow its pods. */
const FRESH_MS = 5000
/** Names that are remembered. */
const NAMES_MAX = 256
/** What `localhost` is, whatever the system's file of hosts says (RFC 6761 §6.3). */
const LOOPBACK = ['127.0.0.1', '::1']

/** Finds the addresses of a name; throws when there are none. */
export type Lookup = (hostname: string) => Promise<readonly string[]>

/** What names resolved to. */
export interface Names {
  /** The addresses of a name in the order to dial them.
   *
   * @throws What the look-up throws; that is not remembered. */
  find(hostname: string): Promise<readonly string[]>
  /** Puts the address that stood first, for as long as the others are remembered. */
  prefer(hostname: string, address: string): void
  /** The next to ask looks the name up. */
  forget(hostname: string): void
}

interface Entry {
  addresses: Promise<readonly string[]>
  /** Monotonic milliseconds. */
  until: number
}

/** Asks the system as every other program on the machine does: its file of hosts, its search domains, its order. */
export const systemLookup: Lookup = async hostname => {
  const found = await Bun.dns.lookup(hostname, { backend: 'libc' })
  return found.map(({ address }) => address)
}

/** Creates a memory of names; who asks while a name is being looked up shares the answer. */
export function createNames({ now }: Pick<Clock, 'now'>, lookup: Lookup = systemLookup): Names {
  const entries = new Map<string, Entry>()

  function look(hostname: string): Promise<readonly string[]> {
    const entry: Entry = { addresses: lookup(hostname).then(inTurn), until: Infinity }
    const [oldest] = entries.keys()
    if (entries.size >= NAMES_MAX && oldest !== undefined) entries.delete(oldest)
    entries.set(hostname, entry)
    entry.addresses.then(
      () => {
        entry.until = now() + FRESH_MS
      },
      () => {
        if (entries.get(hostname) === entry) entries.delete(hostname)
      },
    )
    return entry.addresses
  }

  return {
    async find(hostname) {
      if (hostname === 'localhost' || hostname.endsWith('.localhost')) return LOOPBACK
      const known = entries.get(hostname)
      if (known !== undefined && known.until > now()) return known.addresses
      entries.delete(hostname)
      return look(hostname)
    },
    prefer(hostname, address) {
      const entry = entries.get(hostname)
      if (entry !== undefined) entry.addresses = entry.addresses.then(all => foremost(all, address))
    },
    forget: hostname => void entries.delete(hostname),
  }
}

function foremost(addresses: readonly string[], address: string): readonly string[] {
  return addresses.includes(address) ? [address, ...addresses.filter(other => other !== address)] : addresses
}

/** Lets the two families take turns, the first address's family first (RFC 8305 §4): where one family leads nowhere,
 * the second dial is of the other. */
function inTurn(addresses: readonly string[]): readonly string[] {
  const [first] = addresses
  if (first === undefined) throw new Error('the name has no address')
  const same = addresses.filter(address => address.includes(':') === first.includes(':'))
  const other = addresses.filter(address => !same.includes(address))
  const pairs = same.map((address, at) => [address, ...other.slice(at, at + 1)])
  return [...pairs.flat(), ...other.slice(same.length)]
}
