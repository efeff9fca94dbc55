import type { Crew } from '#core/crew.ts'
import { failureOf } from '../failure.ts'
import type { Settled } from '../options.ts'
import { EXIT, fail } from '../output.ts'
import { reloadRefused } from '../reload.ts'
import { sayFirstKey, sayLater } from '../run.ts'
import { type Serving, serve } from '../serve.ts'
import { ignore } from '../signals.ts'
import { createWholeWriter } from '../sink.ts'
import type { Order, Reloaded, Report, Seat } from './messages.ts'

type Start = Order & { readonly type: 'start' }
type Hear = Parameters<Crew['listen']>[0]

/** How long a worker waits for the first look at servers and their models before it takes requests, in milliseconds,
 * when others serve meanwhile. */
const LOOK_MS = 10_000

/** Runs one of several processes on one port. It does what the supervisor orders, and stops by itself when the
 * supervisor is gone. */
export async function work(): Promise<number> {
  if (process.send === undefined) return fail('workers are started by: citadel start', EXIT.usage)
  const worker = createWorker()
  process.on('message', (order: Order) => worker.take(order))
  process.on('disconnect', () => worker.take({ type: 'stop', delayMs: 0 }))
  process.on('SIGTERM', () => worker.take({ type: 'stop', delayMs: worker.drainDelayMs() }))
  // A terminal sends these signals to all processes that were started in it; the supervisor decides what they mean.
  ignore('SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2')
  return EXIT.ok
}

function createWorker() {
  const hearers: Hear[] = []
  const asked = new Map<number, (reloaded: Reloaded) => void>()
  let serving: Serving | null = null
  let started = Promise.resolve()
  let drainDelayMs = 0
  let leads = false
  let questions = 0

  function hear(news: Parameters<Hear>[0]): void {
    if (news.type === 'lead') leads = true
    for (const each of hearers) each(news)
  }

  /** Asks the supervisor to read the configuration, once for all workers.
   *
   * @throws GatewayError `invalid_request` when the configuration is wrong. */
  async function reload() {
    const { promise, resolve } = Promise.withResolvers<Reloaded>()
    const id = ++questions
    asked.set(id, resolve)
    report({ type: 'reload', id })
    const reloaded = await promise
    asked.delete(id)
    if (!reloaded.ok) throw reloadRefused(reloaded.details)
    return reloaded
  }

  async function start({ seat, settled, news, leads: first, patient }: Start): Promise<void> {
    leads = first
    drainDelayMs = settled.config.service.drain_delay
    const crew: Crew = {
      size: seat.size,
      leads: () => leads,
      tell: each => report({ type: 'news', news: each }),
      listen: each => void hearers.push(each),
    }
    try {
      serving = await serve(at(settled, seat), {
        write: createWholeWriter(),
        reload,
        prepare: async gateway => {
          for (const each of news) hear(each)
          if (patient) await Promise.race([gateway.looked, Bun.sleep(LOOK_MS)])
        },
        worker: { crew, folder: seat.folder, place: seat.place, name: seat.name, steadyMs: seat.steadyMs },
        ...spending(settled),
      })
      const { gateway, listener } = serving
      report({ type: 'ready', url: listener.url, found: await gateway.found, authMode: gateway.authMode() })
    } catch (thrown) {
      const failure = failureOf(thrown) ?? { message: String(thrown), status: EXIT.failure }
      report({ type: 'failed', ...failure })
      process.exit(failure.status)
    }
  }

  const orders: { readonly [Type in Order['type']]: (order: Order & { readonly type: Type }) => void } = {
    start(order) {
      started = start(order)
    },
    reload: ({ settled }) => void started.then(() => serving?.take(settled)),
    'reload-failed': ({ message }) => void started.then(() => serving?.gateway.reloadFailed(message)),
    reloaded: ({ id, reloaded }) => asked.get(id)?.(reloaded),
    news: ({ news }) => hear(news),
    greet() {
      if (serving === null) return
      void sayFirstKey(serving.gateway)
      void sayLater(serving.gateway)
    },
    leave() {
      leads = false
      serving?.drain.leave()
    },
    stop({ delayMs }) {
      if (serving === null) process.exit(EXIT.ok)
      serving.drain.stop(delayMs)
    },
    hurry: () => serving?.drain.hurry(),
    pulse: () => report({ type: 'pulse' }),
  }

  return {
    drainDelayMs: () => drainDelayMs,
    take: <Type extends Order['type']>(order: Order & { readonly type: Type }) => orders[order.type](order),
  }
}

function report(what: Report): void {
  // Not connected any more when the supervisor has just died.
  if (process.connected) process.send?.(what)
}

/** The configuration with the host and ports that all workers share: changed ones wait for the next start. */
function at(settled: Settled, { host, port, metricsPort }: Seat): Settled {
  const { config } = settled
  const service = { ...config.service, host, port }
  const monitoring = { ...config.monitoring, prometheus_port: metricsPort }
  return { ...settled, config: { ...config, service, monitoring } }
}

/** Reports when this worker has answered `worker_max_requests`, so that it is replaced. */
function spending({ config }: Settled): { readonly onRequest?: () => void } {
  const max = config.service.worker_max_requests
  if (max === 0) return {}
  let served = 0
  return {
    onRequest() {
      if (++served === max) report({ type: 'spent' })
    },
  }
}
