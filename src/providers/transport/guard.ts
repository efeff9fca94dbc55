import { GatewayError } from '#core/errors.ts'
import { type Block, isInBlocks, parseAddress } from '#lib/net.ts'
import { isPublicAddress } from '#lib/public-address.ts'
import type { Lookup } from './names.ts'

/** Finds the one address to dial for a name that somebody else has given.
 *
 * @throws GatewayError `address_not_allowed` */
export type Guard = (hostname: string) => Promise<string>

/** Creates the guard before servers that register themselves: public addresses, and those that the operator allows.
 *
 * A name is as good as the worst of its addresses; what was checked is what is dialled, so that a name which changes in
 * between gains nothing. */
export function createGuard(allowed: () => readonly Block[], lookup: Lookup): Guard {
  return async hostname => {
    const addresses = parseAddress(hostname) === null ? await found(hostname, lookup) : [hostname]
    for (const text of addresses) {
      const address = parseAddress(text.replace(/%.*$/, ''))
      if (address === null || !(isPublicAddress(address) || isInBlocks(address, allowed()))) throw notAllowed(hostname)
    }
    const [first] = addresses
    if (first === undefined) throw notAllowed(hostname)
    return first
  }
}

async function found(hostname: string, lookup: Lookup): Promise<readonly string[]> {
  try {
    return await lookup(hostname)
  } catch (thrown) {
    throw new GatewayError('address_not_allowed', `The name ${hostname} cannot be resolved.`, { cause: thrown })
  }
}

function notAllowed(hostname: string): GatewayError {
  return new GatewayError(
    'address_not_allowed',
    `The gateway may not dial ${hostname}; private addresses must be in orchestration.allowed_addresses.`,
  )
}
