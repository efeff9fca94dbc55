import { needsRestart } from '#config/reload.ts'
import { createInTurn } from '#lib/in-turn.ts'
import { claimPort } from '#src/server.ts'
import type { Log } from '#telemetry/log.ts'
import type { Configured } from '../configured.ts'
import { metricsPortTaken } from '../metrics-port.ts'
import type { Settled } from '../options.ts'
import { problemsOf, reasonOf, restartNote } from '../reload.ts'
import { readTls } from '../tls.ts'
import type { Reloaded } from './messages.ts'
import type { Workers } from './workers.ts'

/** The keys for which not even a new worker takes another value: the supervisor has to be restarted. */
const FIXED: ReadonlySet<string> = new Set(['service.host', 'service.port', 'service.workers'])

/** What the workers run with, and how they come to run with something else. */
export interface Rollout {
  /** The configuration with which all workers were started. Keys that a running worker cannot change have its values. */
  started(): Settled
  /** The port for the metrics, which all workers share; `null` without one, or where another process has it. */
  metricsPort(): number | null
  /** Reads the configuration and sends it to all workers.
   *
   * @param rolls Whether the workers are replaced: never, if a changed key needs it, or always. */
  reload(rolls: 'never' | 'if-needed' | 'always'): Promise<Reloaded>
}

/** Creates the rollout of a configuration that was loaded at the start. The port for the metrics is claimed at once. */
export function createRollout(deps: {
  readonly settled: Settled
  readonly configured: Pick<Configured, 'latest' | 'read'>
  /** Not called before the first reload: workers start with what this says. */
  readonly workers: () => Pick<Workers, 'tell' | 'roll'>
  readonly log: Pick<Log, 'info' | 'warn' | 'configure'>
}): Rollout {
  const { settled, configured, workers, log } = deps
  const { host } = settled.config.service
  const inTurn = createInTurn()
  let started = settled
  /** The ports for the metrics that workers may have; several once not all could be replaced. */
  const held = new Set<number>()
  let metricsPort = freeMetricsPort(settled)
  /** Whether the last roll ended early, so that some workers may run with another configuration than `started`. */
  let mixed = false

  /** Checked here, because workers that may share a port do not notice that another process shares it, too. */
  function freeMetricsPort({ config }: Settled): number | null {
    const wanted = config.monitoring.prometheus_port
    if (wanted === null || held.has(wanted)) return wanted
    try {
      held.add(claimPort(host, wanted))
      return wanted
    } catch {
      log.warn(metricsPortTaken(wanted))
      return null
    }
  }

  /** Replaces all workers; two calls never overlap. If not all could be replaced, `started` and the port for the metrics
   * stay as they were, so that the next reload still sees the difference. */
  function roll(): Promise<void> {
    return inTurn(async () => {
      const before = { started, metricsPort }
      started = configured.latest()
      metricsPort = freeMetricsPort(started)
      mixed = !(await workers().roll())
      if (mixed) {
        ;({ started, metricsPort } = before)
        return
      }
      for (const port of held) if (port !== metricsPort) held.delete(port)
      log.info('every worker was replaced')
    })
  }

  return {
    started: () => started,
    metricsPort: () => metricsPort,
    async reload(rolls) {
      try {
        const { warnings, config } = await configured.read(checkTls)
        const restart = needsRestart(started.config, config)
        for (const warning of warnings) log.warn(warning)
        const latest = configured.latest()
        log.configure(logSettings(latest))
        workers().tell({ type: 'reload', settled: latest })
        const isNeeded = mixed || restart.some(key => !FIXED.has(key))
        const rolled = rolls === 'always' || (rolls === 'if-needed' && isNeeded)
        for (const note of restartNote(rolled ? restart.filter(key => FIXED.has(key)) : restart)) log.warn(note)
        if (rolled) await roll()
        return { ok: true, warnings, restart }
      } catch (thrown) {
        workers().tell({ type: 'reload-failed', message: reasonOf(thrown) }, 'leader')
        return { ok: false, details: problemsOf(thrown) }
      }
    },
  }
}

/** The settings of the log in a configuration. */
export function logSettings({ config: { service, monitoring } }: Settled) {
  return { level: monitoring.log_level, service: service.name, environment: service.environment }
}

/** Checks the certificate before the workers read it, so that whoever asked for the reload gets the error.
 *
 * @throws TlsUnusable */
function checkTls({ config }: Settled): void {
  if (config.service.tls !== null) readTls(config.service.tls)
}
