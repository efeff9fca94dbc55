import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { benchKey, benchModel, type Stoppable, startSubject, startUpstream } from '../bench/subjects.ts'

/** How many were done, and how many of them failed. */
interface Count {
  done: number
  failed: number
}

/** What happened while all workers were replaced again and again. */
export interface Rolling {
  readonly seconds: number
  readonly seen: { readonly streams: Count; readonly kept: Count; readonly fresh: Count }
}

/** Clients that keep their connections, each with one request under way, and new connections a second beside them. */
const KEPT_CLIENTS = 16
const FRESH_PER_SECOND = 100
const TICK_MS = 10
/** Streams last longer than a replacement of all workers. */
const PACE = { delayMs: 0, chunkMs: 100, chunks: 60 }
const DRAIN_MS = 1000
const WAIT_MS = 60_000

/** Replaces two workers, with streams open at each replacement, clients that keep their connections and clients that
 * do not. */
export async function measureRolling(
  folder: string,
  { rounds, streams }: { readonly rounds: number; readonly streams: number },
): Promise<Rolling> {
  const running = new Set<Stoppable>()
  const upstream = await startUpstream(folder)
  await fetch(`http://127.0.0.1:${upstream.port}/control`, { method: 'POST', body: JSON.stringify(PACE) })
  const bench = { folder, upstreamPort: upstream.port, running }
  const gateway = await startSubject('gateway', bench, { workers: 2, drainMs: DRAIN_MS })
  const { pid } = gateway
  if (pid === null) throw new Error('a gateway has a process')
  const url = `http://127.0.0.1:${gateway.port}/v1/chat/completions`
  const seen = { streams: count(), kept: count(), fresh: count() }
  const load = { over: false }
  const since = performance.now()
  const clients = [
    ...Array.from({ length: KEPT_CLIENTS }, () => keep(url, seen.kept, load)),
    renew(url, seen.fresh, load),
  ]
  for (let round = 1; round <= rounds; round++) {
    const open = Array.from({ length: streams }, () => watch(ask(url, true, true), seen.streams))
    const replaced = replacedTimes(folder) + 1
    process.kill(pid, 'SIGUSR2')
    await until(() => replacedTimes(folder) >= replaced)
    process.stderr.write(`replaced ${round} times: ${JSON.stringify(seen)}\n`)
    await Promise.all(open)
  }
  load.over = true
  await Promise.all(clients)
  const seconds = (performance.now() - since) / 1000
  await gateway.stop()
  await upstream.stop()
  return { seconds, seen }
}

const count = (): Count => ({ done: 0, failed: 0 })

/** Asks again and again on a connection that is kept. */
async function keep(url: string, seen: Count, load: { readonly over: boolean }): Promise<void> {
  while (!load.over) {
    await watch(ask(url, false, true), seen)
    await Bun.sleep(1)
  }
}

/** Asks at a steady rate, each time over a new connection. */
async function renew(url: string, seen: Count, load: { readonly over: boolean }): Promise<void> {
  const since = performance.now()
  const underWay: Promise<void>[] = []
  for (let sent = 0; !load.over; await Bun.sleep(TICK_MS)) {
    const due = ((performance.now() - since) / 1000) * FRESH_PER_SECOND
    for (; sent < due; sent++) underWay.push(watch(ask(url, false, false), seen))
  }
  await Promise.all(underWay)
}

async function watch(asked: Promise<boolean>, seen: Count): Promise<void> {
  const good = await asked.catch(() => false)
  seen.done++
  if (!good) seen.failed++
}

/** Whether the whole answer came. */
async function ask(url: string, stream: boolean, keepalive: boolean): Promise<boolean> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { authorization: `Bearer ${benchKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: benchModel, stream, messages: [{ role: 'user', content: 'Do you notice?' }] }),
    keepalive,
  })
  const text = await response.text()
  return response.status === 200 && (stream ? text.endsWith('data: [DONE]\n\n') : text.endsWith('}'))
}

function replacedTimes(folder: string): number {
  return readFileSync(join(folder, 'gateway.log'), 'utf8').match(/every worker was replaced/g)?.length ?? 0
}

async function until(holds: () => boolean): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!holds()) {
    if (performance.now() > deadline) throw new Error('the workers were not replaced in time')
    await Bun.sleep(20)
  }
}
