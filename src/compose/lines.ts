import type { Config } from '#config/schema.ts'
import type { Clock } from '#core/clock.ts'
import { PROVIDERS } from '#providers/index.ts'
import { createSocketTransport, type SocketTransport } from '#providers/transport/index.ts'
import { trustOf } from '#providers/transport/tls.ts'
import { proxyOf } from '#providers/transport/tunnel.ts'
import type { Transport } from '#providers/transport.ts'

/** The transports to addresses that have certificates of their own or a proxy. */
export interface Lines {
  /** Gives the transport to an address; `null` for one without such settings. */
  to(url: string): Transport | null
  reload(config: Config): void
  close(): void
}

/** Builds the transports. When the configuration changes, requests under way keep their connections. */
export function composeLines(clock: Clock, config: Config): Lines {
  const transports = new Map<string, SocketTransport>()
  let lines = linesOf(config)

  function linesOf({ servers }: Config): ReadonlyMap<string, SocketTransport> {
    const byOrigin = new Map<string, SocketTransport>()
    for (const { kind, base_url, tls, proxy } of servers) {
      const origin = originOf(base_url ?? PROVIDERS.get(kind)?.defaultBaseUrl ?? '')
      if ((tls === null && proxy === null) || origin === null || byOrigin.has(origin)) continue
      const key = JSON.stringify([tls, proxy])
      const transport =
        transports.get(key) ??
        createSocketTransport({
          clock,
          ...(tls !== null && { trust: trustOf(tls) }),
          proxy: proxy === null ? null : proxyOf(proxy),
        })
      transports.set(key, transport)
      byOrigin.set(origin, transport)
    }
    return byOrigin
  }

  return {
    to(url) {
      // A quick answer for the usual case, in which no address has such settings.
      return lines.size === 0 ? null : (lines.get(originOf(url) ?? '') ?? null)
    },
    reload(next) {
      lines = linesOf(next)
    },
    close() {
      for (const transport of transports.values()) transport.close()
    },
  }
}

function originOf(url: string): string | null {
  return URL.parse(url)?.origin ?? null
}
