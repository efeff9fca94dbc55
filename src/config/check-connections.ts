import { itemsOf, plainAt, textAt } from './read-tree.ts'
import { type Complain, find, type MapTree, type Tree } from './tree.ts'

/** The connection settings of one server (certificates, proxy), as comparable values; `null` = not set. */
const CONNECTION_SETTINGS = { tls: tlsOf, proxy: (server: Tree) => textAt(server, 'proxy') }

/** Checks that servers with the same address have the same TLS and proxy settings: they share connections, so that
 * a second certificate or another proxy would never be used. A server without these settings uses those of the others. */
export function checkConnections(tree: MapTree, complain: Complain): void {
  const firsts = new Map<string, Tree>()
  for (const [index, server] of itemsOf(find(tree, ['servers'])).entries()) {
    const address = addressOf(server)
    if (address === null || (tlsOf(server) === null && CONNECTION_SETTINGS.proxy(server) === null)) continue
    const first = firsts.get(address)
    if (first === undefined) firsts.set(address, server)
    else {
      for (const [key, read] of Object.entries(CONNECTION_SETTINGS)) {
        const said = read(server)
        if (said === null || said === read(first)) continue
        const other = textAt(first, 'id') ?? 'another server'
        complain(
          ['servers', index, key],
          `server "${textAt(server, 'id')}" has the address of "${other}", which says otherwise: write the same for both`,
          'key',
        )
      }
    }
  }
}

/** The origin of a server's address; its kind if it has none, since it then uses the public address of that kind. */
function addressOf(server: Tree): string | null {
  const written = textAt(server, 'base_url')
  return written === null ? (textAt(server, 'kind')?.toLowerCase() ?? null) : (URL.parse(written)?.origin ?? null)
}

function tlsOf(server: Tree): string | null {
  const tls = find(server, ['tls'])
  if (tls?.kind !== 'map') return null
  return JSON.stringify(['ca_file', 'cert_file', 'key_file', 'server_name'].map(key => plainAt(tls, [key]) ?? null))
}
