import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import type { Server } from '#core/servers.ts'
import { parseBlock } from '#lib/net.ts'
import { createDemoTransport, DEMO_ADDRESS } from '#providers/demo/transport.ts'
import { createGuard, type Guard } from '#providers/transport/guard.ts'
import { createSocketTransport } from '#providers/transport/index.ts'
import { type Lookup, systemLookup } from '#providers/transport/names.ts'
import type { Transport } from '#providers/transport.ts'
import type { Overrides } from './gateway.ts'
import { composeLines } from './lines.ts'

/** The transports to model servers. */
export interface Network {
  readonly transportFor: (server: Pick<Server, 'baseUrl' | 'origin'>) => Transport
  /** Checks addresses that do not come from the configuration. */
  readonly guard: Guard
  reload(config: Config): void
  close(): void
}

/** Builds the transports; the addresses of servers that registered themselves are checked before they are dialled. */
export function composeNetwork(
  clock: Clock,
  config: () => Config,
  overrides: Pick<Overrides, 'transport' | 'lookup'>,
): Network {
  const sockets = createSocketTransport({ clock })
  const lines = composeLines(clock, config())
  const usual = overrides.transport ?? sockets
  const demo = createDemoTransport({ clock })
  const guard = composeGuard(config, overrides.lookup)
  const guarded = createSocketTransport({ clock, guard })
  const strange = overrides.transport ?? guarded
  return {
    transportFor: ({ baseUrl, origin }) =>
      origin === 'registration' ? strange : baseUrl.startsWith(DEMO_ADDRESS) ? demo : (lines.to(baseUrl) ?? usual),
    guard,
    reload: lines.reload,
    close() {
      sockets.close()
      lines.close()
      guarded.close()
    },
  }
}

/** Creates the check of which addresses of registered servers may be dialled. */
function composeGuard(config: () => Config, lookup: Lookup = systemLookup): Guard {
  let written: readonly string[] = []
  let blocks: readonly NonNullable<ReturnType<typeof parseBlock>>[] = []
  const allowed = () => {
    const { allowed_addresses } = config().orchestration
    if (allowed_addresses !== written) {
      written = allowed_addresses
      blocks = allowed_addresses.map(parseBlock).filter(block => block !== null)
    }
    return blocks
  }
  return createGuard(allowed, lookup)
}
