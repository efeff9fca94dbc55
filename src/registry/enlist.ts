import type { Clock } from '#core/clock.ts'
import type { Registration } from '#wire/orchestration.ts'

/** A gateway that this one registers with. */
export interface GatewayAbove {
  readonly url: string
  readonly api_key: string | null
}

export interface EnlistOptions {
  readonly clock: Clock
  readonly gateways: () => readonly GatewayAbove[]
  /** What this gateway says of itself; `null` while it cannot be reached. */
  readonly self: () => Registration | null
  /** Sends a body.
   *
   * @returns The HTTP status.
   * @throws when nobody answered. */
  readonly post: (url: string, headers: Readonly<Record<string, string>>, body: string) => Promise<number>
  /** Told when a gateway takes the registration, and when it no longer does. */
  readonly onChange: (url: string, problem: string | null) => void
}

const AGAIN_MS = 30_000
const EAGER_MS = 5000

/** Registers this gateway with others until it is stopped. */
interface Enlisting {
  /** Registers at once: there may be others to register with, or something else to say. */
  again(): void
  stop(): void
}

/** Registers this gateway with others, and again every 30 seconds, which is its sign of life; one that did not take
 * the registration is asked again after five. */
export function startEnlisting(options: EnlistOptions): Enlisting {
  const { clock } = options
  const problems = new Map<string, string | null>()
  let run = 0
  let disarm = clock.after(0, () => void turn(0))

  async function enlist({ url, api_key }: GatewayAbove, body: string): Promise<string | null> {
    const headers = {
      'content-type': 'application/json',
      ...(api_key !== null && { authorization: `Bearer ${api_key}` }),
    }
    try {
      const status = await options.post(`${url.replace(/\/$/, '')}/orchestration/servers/register`, headers, body)
      return status < 300 ? null : `it answers HTTP ${status}`
    } catch {
      return 'it cannot be reached'
    }
  }

  async function turn(own: number): Promise<void> {
    const gateways = options.gateways()
    const self = gateways.length === 0 ? null : options.self()
    let well = gateways.length === 0 || self !== null
    for (const gateway of self === null ? [] : gateways) {
      const problem = await enlist(gateway, JSON.stringify(self))
      // Others are told by now, or something else is, or nothing.
      if (own !== run) return
      if (problems.get(gateway.url) !== problem) options.onChange(gateway.url, problem)
      problems.set(gateway.url, problem)
      well &&= problem === null
    }
    disarm = clock.after(well ? AGAIN_MS : EAGER_MS, () => void turn(own))
  }

  return {
    again() {
      disarm()
      const own = ++run
      disarm = clock.after(0, () => void turn(own))
    },
    stop() {
      run++
      disarm()
    },
  }
}
