import type { Environment } from '#config/env.ts'
import { providersFromEnv } from '#config/providers-from-env.ts'
import type { Clock } from '#core/clock.ts'
import type { Fleet } from '#registry/fleet.ts'

const SHOWN_SERVERS = 20
const SHOWN_MODELS = 4
/** How long a start waits for the first look around before it says what it has found, in milliseconds. */
const LOOK_AROUND_MS = 200
/** When every server has been probed once, and mostly answered; in milliseconds. */
const PROBED_MS = 2000

/** What was found at the start, as lines for people. */
export interface FleetReport {
  readonly lines: readonly { readonly kind: string; readonly text: string }[]
  /** A model that can answer a first request. */
  readonly firstModel: string | null
}

const LABELS = {
  configuration: 'server',
  environment: 'key',
  discovery: 'found',
  'built-in': 'demo',
  registration: 'member',
} as const

/** Describes the fleet: what was found, what is missing, and why. */
export function reportFleet(fleet: Pick<Fleet, 'status' | 'current'>, env: Environment): FleetReport {
  const status = fleet.status()
  const many = status.servers.length > SHOWN_SERVERS
  // Of many servers those are shown with which something is wrong: the others can wait for a look at all.
  const listed = many
    ? status.servers.toSorted((a, b) => Number(a.state.reason === null) - Number(b.state.reason === null))
    : status.servers
  const servers = listed.map(({ server, state, models }) => ({
    kind: LABELS[server.origin],
    text:
      server.origin === 'built-in'
        ? `${models.join(', ')} is offered, so that a first request works; it answers only when it is named`
        : `${server.id} (${server.kind}) at ${server.baseUrl}: ${modelList(models, state.reason)}`,
  }))
  const rest = servers.length - SHOWN_SERVERS
  const more = rest > 0 ? [{ kind: '', text: `and ${rest} more; /health/detailed shows all` }] : []
  const missing = status.missing.map(({ name, why }) => ({ kind: 'no', text: `${name}: ${why}` }))
  const pending = status.discovering
    ? providersFromEnv(env).pending.map(({ variable, provider }) => ({
        kind: 'not yet',
        text: `${variable} is set, but ${provider} needs an address and deployments, in a file`,
      }))
    : []
  const models = [...fleet.current().models.values()]
  const first = models.find(model => model.eligible && model.class !== 'embedding') ?? models[0]
  return {
    lines: [...servers.slice(0, SHOWN_SERVERS), ...more, ...missing, ...pending],
    firstModel: first?.name ?? null,
  }
}

/** Reports after a short wait, and again when all servers have answered and were probed; the second report is `null` if
 * nothing has changed.
 *
 * @param looked Resolves when the first look for servers is over. */
export function reportOnce(
  looked: Promise<unknown>,
  clock: Pick<Clock, 'after'>,
  report: () => FleetReport,
): { readonly found: Promise<FleetReport>; readonly later: Promise<FleetReport | null> } {
  const passed = (ms: number) => new Promise<void>(resolve => clock.after(ms, resolve))
  const probed = passed(PROBED_MS)
  const found = Promise.race([looked, passed(LOOK_AROUND_MS)]).then(report)
  return { found, later: Promise.all([found, looked, probed]).then(([before]) => newsOf(before, report())) }
}

function newsOf(before: FleetReport, after: FleetReport): FleetReport | null {
  const told = new Set(before.lines.map(({ text }) => text))
  const lines = after.lines.filter(({ text }) => !told.has(text))
  return lines.length === 0 ? null : { ...after, lines }
}

function modelList(models: readonly string[], reason: string | null): string {
  if (models.length === 0) return reason ?? 'has not said yet which models it has'
  const trouble = reason === null ? '' : `; ${reason}`
  const shown = models.slice(0, SHOWN_MODELS).join(', ')
  const rest = models.length - SHOWN_MODELS
  return `${models.length === 1 ? 'model' : `${models.length} models:`} ${shown}${rest > 0 ? ` and ${rest} more` : ''}${trouble}`
}
