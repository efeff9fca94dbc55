import { needsRestart } from '#config/reload.ts'
import { watchFiles } from '#config/watch.ts'
import type { Clock } from '#core/clock.ts'
import { createInTurn } from '#lib/in-turn.ts'
import { claimPort } from '#src/server.ts'
import { openMetricFiles } from '#stores/metric-files.ts'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'
import { createLog } from '#telemetry/log.ts'
import { foldFamilies } from '#telemetry/merge.ts'
import { metricsPortTaken } from '../metrics-port.ts'
import { type Options, type Settled, settle } from '../options.ts'
import { CommandFailed, EXIT, fail } from '../output.ts'
import { problemsOf, reasonOf, restartNote, watchedFiles } from '../reload.ts'
import { createWholeWriter } from '../sink.ts'
import { readTls } from '../tls.ts'
import { hireProcess } from './hire.ts'
import type { Order, Ready, Reloaded, Report } from './messages.ts'
import { createWorkers, type Workers } from './workers.ts'

/** The place of the supervisor itself in what workers share. */
const OWN_PLACE = 1
/** What not even other workers take over. */
const FIXED: ReadonlySet<string> = new Set(['service.host', 'service.port', 'service.workers'])
/** How much longer than they may take workers are waited for at the end, in milliseconds. */
const GRACE_MS = 30_000

/** Starts several workers on one port and sees to them until it is told to stop: it answers no request itself.
 *
 * @throws PortTaken, CannotListen */
export async function supervise(options: Options, settled: Settled, size: number): Promise<number> {
  if (process.platform !== 'linux') {
    return fail('service.workers: several processes share a port on Linux only; set it to 1', EXIT.config)
  }
  const { service } = settled.config
  const port = claimPort(service.host, service.port)
  const { folder, remove } = createSharedFolder()
  const memory = openSharedMemory(folder, OWN_PLACE)
  const numbers = openMetricFiles(folder, 'supervisor')
  const log = createLog({ ...logOptions(settled), clock })
  const configured = new Configured(options, settled)
  let metricsPort = freeMetricsPort(settled, null)
  const workers: Workers = createWorkers({
    size,
    clock,
    random: Math.random,
    maxAgeMs: () => configured.started.config.service.worker_max_age || null,
    hire({ place, name }, first, hears) {
      const hired = hireProcess(hears)
      const seat = { host: service.host, port, metricsPort, size, folder, place, name }
      hired.send({ type: 'start', seat, settled: configured.started, ...first })
      if (configured.latest !== configured.started) hired.send({ type: 'reload', settled: configured.latest })
      return hired
    },
    ended({ place, name }) {
      memory.reclaim(place)
      numbers.fold(name, foldFamilies)
    },
    onReport: (report, send) => void answer(report, send),
    log,
  })

  /** Reads the configuration and lets all workers take it over.
   *
   * @param rolls Whether others take the place of the workers for what these do not take over: always, or if need be. */
  async function reload(rolls: 'never' | 'if-needed' | 'always'): Promise<Reloaded> {
    try {
      const { warnings, restart } = await configured.read()
      for (const warning of warnings) log.warn(warning)
      const { monitoring, service } = configured.latest.config
      log.configure({ level: monitoring.log_level, service: service.name, redact: [] })
      workers.tell({ type: 'reload', settled: configured.latest })
      const rolled = rolls === 'always' || (rolls === 'if-needed' && restart.some(key => !FIXED.has(key)))
      for (const note of restartNote(rolled ? restart.filter(key => FIXED.has(key)) : restart)) log.warn(note)
      if (rolled) await roll()
      return { ok: true, warnings, restart }
    } catch (thrown) {
      workers.tell({ type: 'reload-failed', message: reasonOf(thrown) }, 'leader')
      return { ok: false, details: problemsOf(thrown) }
    }
  }

  /** The port on which workers serve the metrics: none where another process has it. Workers that share a port do not
   * notice others who share theirs. */
  function freeMetricsPort({ config }: Settled, held: number | null): number | null {
    const wanted = config.monitoring.prometheus_port
    if (wanted === null || wanted === held) return wanted
    try {
      return claimPort(service.host, wanted)
    } catch {
      log.warn(metricsPortTaken(wanted))
      return null
    }
  }

  async function roll(): Promise<void> {
    configured.start()
    metricsPort = freeMetricsPort(configured.started, metricsPort)
    if (await workers.roll()) log.info('every worker was replaced')
  }

  async function answer(report: Report, send: (order: Order) => void): Promise<void> {
    if (report.type === 'reload') send({ type: 'reloaded', id: report.id, reloaded: await reload('never') })
  }

  const watcher = watchFiles(
    () => [...watchedFiles(configured.latest), ...configured.wanted],
    () => void reload('never'),
  )
  process.on('SIGHUP', () => void reload('if-needed'))
  process.on('SIGUSR2', () => void reload('always'))
  stopOnSignal(settled, workers, watcher)
  try {
    const [ready] = await workers.start()
    if (ready !== undefined) await greet(ready, { settled, port, size, workers })
    await workers.ended
  } catch (thrown) {
    if (!(thrown instanceof CommandFailed)) throw thrown
    fail(thrown.message, thrown.status)
  }
  watcher.close()
  log.close()
  remove()
  process.exit(process.exitCode ?? EXIT.ok)
}

/** The configuration as it is now, and as workers start with it. */
class Configured {
  /** What a worker cannot take over while it runs is as it was when all of them were started. */
  started: Settled
  latest: Settled
  /** The files of the last reading: what it did not find may come. */
  wanted: readonly string[] = []
  private readonly options: Options
  private readonly inTurn = createInTurn()

  constructor(options: Options, first: Settled) {
    this.options = options
    this.started = first
    this.latest = first
  }

  /** Reads it again; one at a time, or the older of two that were read could come last.
   *
   * @throws ConfigError, TlsUnusable */
  read() {
    return this.inTurn(() => this.readNow())
  }

  private async readNow() {
    const asked: string[] = []
    try {
      const next = await settle(this.options, this.latest, file => asked.push(file))
      asked.push(...watchedFiles(next))
      const { tls } = next.config.service
      // Here, where whoever asked is told; the workers read the files themselves.
      if (tls !== null) readTls(tls)
      this.latest = next
      return { warnings: next.warnings, restart: needsRestart(this.started.config, next.config) }
    } finally {
      this.wanted = asked
    }
  }

  /** Workers start with the latest from now on. */
  start(): void {
    this.started = this.latest
  }
}

async function greet(
  { url, found, authMode }: Ready,
  { settled, port, size, workers }: { settled: Settled; port: number; size: number; workers: Workers },
): Promise<void> {
  const readyMs = Math.round(performance.now())
  const { banner } = await import('../banner.ts')
  console.error(banner({ listener: { url, port }, workers: size, readyMs, found, settled, authMode }))
  workers.tell({ type: 'greet' }, 'leader')
}

/** Stops on SIGTERM or SIGINT. A second signal skips the waiting. */
function stopOnSignal({ config }: Settled, workers: Workers, watcher: { close(): void }): void {
  const { drain_delay, drain_timeout } = config.service
  const stop = (delayMs: number) => {
    watcher.close()
    workers.stop(delayMs)
    setTimeout(() => workers.kill(), delayMs + drain_timeout + GRACE_MS)
  }
  process.on('SIGTERM', () => stop(drain_delay))
  // Whoever presses Ctrl-C has no load balancer in front.
  process.on('SIGINT', () => stop(0))
}

function logOptions({ config }: Settled) {
  const { service, monitoring } = config
  return {
    write: createWholeWriter(),
    level: monitoring.log_level,
    service: service.name,
    pretty: process.stdout.isTTY === true,
  }
}

const clock: Clock = {
  now: () => performance.now(),
  time: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
