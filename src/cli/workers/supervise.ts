import { needsRestart } from '#config/reload.ts'
import { watchFiles } from '#config/watch.ts'
import type { Clock } from '#core/clock.ts'
import { watchWallClock } from '#core/steady.ts'
import { createInTurn } from '#lib/in-turn.ts'
import { claimPort } from '#src/server.ts'
import { VERSION } from '#src/version.ts'
import { openMetricFiles } from '#stores/metric-files.ts'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'
import { createLog, type Log, STOPPING } from '#telemetry/log.ts'
import { foldFamilies } from '#telemetry/merge.ts'
import { createConfigured } from '../configured.ts'
import { metricsPortTaken } from '../metrics-port.ts'
import type { Options, Settled } from '../options.ts'
import { CommandFailed, EXIT, fail, say } from '../output.ts'
import { problemsOf, reasonOf, restartNote } from '../reload.ts'
import { ignore } from '../signals.ts'
import { createWholeWriter } from '../sink.ts'
import { readTls } from '../tls.ts'
import type { Order, Ready, Reloaded, Report } from './messages.ts'
import { spawnWorker } from './spawn.ts'
import { createWorkers, type Workers } from './workers.ts'

/** The place of the supervisor in the shared memory of the workers. */
const OWN_PLACE = 1
/** The keys for which not even a new worker takes another value: the supervisor has to be restarted. */
const FIXED: ReadonlySet<string> = new Set(['service.host', 'service.port', 'service.workers'])

/** Starts several workers on one port, and replaces those that end, until it is told to stop. It answers no request
 * itself.
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
  const pretty = process.stdout.isTTY === true
  const log = createLog({ ...namedIn(settled), write: createWholeWriter(), pretty, clock })
  const configured = createConfigured(options, settled)
  const inTurn = createInTurn()
  const steadyMs = watchWallClock(clock)
  /** The configuration with which all workers were started. Keys that a running worker cannot change have its
   * values. */
  let started = settled
  let metricsPort = freeMetricsPort(settled, null)
  const drain = () => {
    const { drain_delay, drain_timeout } = started.config.service
    return { delayMs: drain_delay, timeoutMs: drain_timeout }
  }
  const workers: Workers = createWorkers({
    size,
    clock,
    random: Math.random,
    maxAgeMs: () => started.config.service.worker_max_age || null,
    drain,
    spawn({ place, name }, first, listener) {
      const worker = spawnWorker(listener)
      const seat = { host: service.host, port, metricsPort, size, folder, place, name, steadyMs: steadyMs() }
      worker.send({ type: 'start', seat, settled: started, ...first })
      const latest = configured.latest()
      if (latest !== started) worker.send({ type: 'reload', settled: latest })
      return worker
    },
    ended({ place, name }) {
      memory.reclaim(place)
      numbers.fold(name, foldFamilies)
    },
    onReport: (report, send) => void answer(report, send),
    log,
  })

  /** Reads the configuration and sends it to all workers.
   *
   * @param rolls Whether the workers are replaced: never, if a changed key needs it, or always. */
  async function reload(rolls: 'never' | 'if-needed' | 'always'): Promise<Reloaded> {
    try {
      const { warnings, config } = await configured.read(checkTls)
      const restart = needsRestart(started.config, config)
      for (const warning of warnings) log.warn(warning)
      const latest = configured.latest()
      log.configure(namedIn(latest))
      workers.tell({ type: 'reload', settled: latest })
      const rolled = rolls === 'always' || (rolls === 'if-needed' && restart.some(key => !FIXED.has(key)))
      for (const note of restartNote(rolled ? restart.filter(key => FIXED.has(key)) : restart)) log.warn(note)
      if (rolled) await roll()
      return { ok: true, warnings, restart }
    } catch (thrown) {
      workers.tell({ type: 'reload-failed', message: reasonOf(thrown) }, 'leader')
      return { ok: false, details: problemsOf(thrown) }
    }
  }

  /** The port for the metrics, which all workers share; `null` where another process has it. Checked here, because
   * workers that may share a port do not notice that another process shares it, too. */
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

  /** Replaces all workers; two calls never overlap. If not all could be replaced, `started` stays as it was, so that
   * the next reload still sees the difference. */
  function roll(): Promise<void> {
    return inTurn(async () => {
      const before = started
      started = configured.latest()
      metricsPort = freeMetricsPort(started, metricsPort)
      if (await workers.roll()) log.info('every worker was replaced')
      else started = before
    })
  }

  async function answer(report: Report, send: (order: Order) => void): Promise<void> {
    if (report.type === 'reload') send({ type: 'reloaded', id: report.id, reloaded: await reload('never') })
  }

  const watcher = watchFiles(configured.files, () => void reload('never'))
  process.on('SIGHUP', () => void reload('if-needed'))
  process.on('SIGUSR2', () => void reload('always'))
  ignore('SIGUSR1')
  stopOnSignal({ workers, watcher, log, delayMs: () => drain().delayMs })
  try {
    const [ready] = await workers.start()
    // On a terminal the banner says it.
    if (ready !== undefined && !pretty) log.info('started', { version: VERSION, url: ready.url, workers: size })
    if (ready !== undefined) await greet(ready, { settled, port, size, workers })
    await workers.ended
    log.info('stopped')
  } catch (thrown) {
    if (!(thrown instanceof CommandFailed)) throw thrown
    fail(thrown.message, thrown.status)
  }
  watcher.close()
  log.close()
  remove()
  process.exit(process.exitCode ?? EXIT.ok)
}

/** Checks the certificate before the workers read it, so that whoever asked for the reload gets the error.
 *
 * @throws TlsUnusable */
function checkTls({ config }: Settled): void {
  if (config.service.tls !== null) readTls(config.service.tls)
}

async function greet(
  { url, found, authMode }: Ready,
  { settled, port, size, workers }: { settled: Settled; port: number; size: number; workers: Workers },
): Promise<void> {
  const readyMs = Math.round(performance.now())
  const { banner } = await import('../banner.ts')
  say(banner({ listener: { url, port }, workers: size, readyMs, found, settled, authMode }))
  workers.tell({ type: 'greet' }, 'leader')
}

/** Stops on SIGTERM or SIGINT. A second signal does not wait for requests under way. */
function stopOnSignal(options: {
  readonly workers: Workers
  readonly watcher: { close(): void }
  readonly log: Log
  readonly delayMs: () => number
}): void {
  const { workers, watcher, log, delayMs } = options
  let told = false
  const stop = (waitMs: number) => {
    if (!told) log.info(STOPPING)
    told = true
    watcher.close()
    workers.stop(waitMs)
  }
  process.on('SIGTERM', () => stop(delayMs()))
  // Without delay: the delay is for a load balancer, and with Ctrl-C there is none in front.
  process.on('SIGINT', () => stop(0))
}

/** The settings of the log in a configuration. */
function namedIn({ config: { service, monitoring } }: Settled) {
  return { level: monitoring.log_level, service: service.name, environment: service.environment }
}

const clock: Clock = {
  now: () => performance.now(),
  time: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
