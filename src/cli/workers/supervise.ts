import { watchFiles } from '#config/watch.ts'
import type { Clock } from '#core/clock.ts'
import { watchWallClock } from '#core/steady.ts'
import { claimPort } from '#src/server.ts'
import { VERSION } from '#src/version.ts'
import { openMetricFiles } from '#stores/metric-files.ts'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'
import { createLog, type Log, STOPPING } from '#telemetry/log.ts'
import { foldFamilies } from '#telemetry/merge.ts'
import { createConfigured } from '../configured.ts'
import type { Options, Settled } from '../options.ts'
import { CommandFailed, EXIT, fail, say } from '../output.ts'
import { ignore } from '../signals.ts'
import { createWholeWriter } from '../sink.ts'
import type { Ready } from './messages.ts'
import { createRollout, logSettings } from './rollout.ts'
import { spawnWorker } from './spawn.ts'
import { createWorkers, type Workers } from './workers.ts'

/** The place of the supervisor in the shared memory of the workers. */
const OWN_PLACE = 1

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
  const log = createLog({ ...logSettings(settled), write: createWholeWriter(), pretty, clock })
  const configured = createConfigured(options, settled)
  const rollout = createRollout({ settled, configured, log, workers: () => workers })
  const steadyMs = watchWallClock(clock)
  const drain = () => {
    const { drain_delay, drain_timeout } = rollout.started().config.service
    return { delayMs: drain_delay, timeoutMs: drain_timeout }
  }
  const workers: Workers = createWorkers({
    size,
    clock,
    random: Math.random,
    maxAgeMs: () => rollout.started().config.service.worker_max_age || null,
    drain,
    spawn({ place, name }, first, listener) {
      const worker = spawnWorker(listener)
      const metricsPort = rollout.metricsPort()
      const seat = { host: service.host, port, metricsPort, size, folder, place, name, steadyMs: steadyMs() }
      const started = rollout.started()
      worker.send({ type: 'start', seat, settled: started, ...first })
      const latest = configured.latest()
      if (latest !== started) worker.send({ type: 'reload', settled: latest })
      return worker
    },
    ended({ place, name }) {
      memory.reclaim(place)
      numbers.fold(name, foldFamilies)
    },
    async onReport(report, send) {
      if (report.type === 'reload') send({ type: 'reloaded', id: report.id, reloaded: await rollout.reload('never') })
    },
    log,
  })

  const watcher = watchFiles(configured.files, () => void rollout.reload('never'))
  process.on('SIGHUP', () => void rollout.reload('if-needed'))
  process.on('SIGUSR2', () => void rollout.reload('always'))
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

const clock: Clock = {
  now: () => performance.now(),
  time: () => Date.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms)
    return () => clearTimeout(timer)
  },
}
