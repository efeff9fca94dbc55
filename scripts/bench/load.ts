// The load generator: reads plans from its input, a line of JSON each, and answers each with a line.
import { type Client, openClient } from './http-client.ts'
import { createRequest, type Latency, type LoadPlan, type LoadResult, percentile } from './load-plan.ts'
import { cpuMicros } from './process.ts'

/** What was counted since the measured seconds began. */
interface Tally {
  requests: number
  events: number
  failures: number
  readonly started: Set<number>
  readonly plain: number[]
  readonly stream: number[]
  readonly firstEvent: number[]
}

/** The streams that a plan left open. */
let held: Client[] = []

for await (const line of console) {
  const plan: LoadPlan = JSON.parse(line)
  for (const client of held) client.close()
  held = []
  const result = await run(plan)
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

async function run(plan: LoadPlan): Promise<LoadResult> {
  const tally: Tally = {
    requests: 0,
    events: 0,
    failures: 0,
    started: new Set(),
    plain: [],
    stream: [],
    firstEvent: [],
  }
  const ending = { ended: false }
  const clients = await startClients(plan, tally, ending)
  await Bun.sleep(plan.warmSeconds * 1000)
  // Streams that are held have begun already.
  if (plan.kind !== 'hold') reset(tally)
  const cpuBefore = totalCpu(plan)
  const begun = performance.now()
  await Bun.sleep(plan.seconds * 1000)
  const cpu = totalCpu(plan) - cpuBefore
  const seconds = (performance.now() - begun) / 1000
  const { requests, events, failures } = tally
  const result = {
    seconds,
    requests,
    events,
    failures,
    started: tally.started.size,
    cpuMicros: cpu,
    ...latencies(tally),
  }
  ending.ended = true
  if (plan.kind === 'hold') held = clients
  else for (const client of clients) client.close()
  return result
}

async function startClients(plan: LoadPlan, tally: Tally, ending: { readonly ended: boolean }): Promise<Client[]> {
  const clients: Client[] = []
  for (let index = 0; index < plan.clients; index++) {
    if (plan.rampMs > 0 && index > 0) await Bun.sleep(plan.rampMs / plan.clients)
    clients.push(startClient(plan, index, tally, ending))
  }
  return clients
}

/** Sends request after request on one connection, and begins anew on another when it breaks. */
function startClient(plan: LoadPlan, index: number, tally: Tally, ending: { readonly ended: boolean }): Client {
  const streamed = plan.kind !== 'plain' && (plan.kind !== 'mixed' || index % 2 === 1)
  const request = createRequest(plan, streamed)
  let sentAt = 0
  let waiting = true
  let client: Client
  const send = () => {
    sentAt = performance.now()
    waiting = true
    client.send(request.next())
  }
  const connect = () =>
    openClient(plan.port, {
      onOpen: send,
      onBody(newlines) {
        if (!streamed) return
        tally.events += newlines / 2
        if (!waiting) return
        waiting = false
        tally.started.add(index)
        tally.firstEvent.push(performance.now() - sentAt)
      },
      onResponse(status) {
        if (status === 200) tally.requests++
        else tally.failures++
        const taken = streamed ? tally.stream : tally.plain
        taken.push(performance.now() - sentAt)
        if (ending.ended) return
        if (plan.pauseMs > 0) setTimeout(() => ending.ended || send(), plan.pauseMs * (0.5 + Math.random()))
        else send()
      },
      onClose() {
        if (ending.ended) return
        tally.failures++
        setTimeout(() => {
          if (!ending.ended) client = connect()
        }, 20)
      },
    })
  client = connect()
  return { send: bytes => client.send(bytes), close: () => client.close() }
}

function reset(tally: Tally): void {
  tally.requests = 0
  tally.events = 0
  tally.failures = 0
  for (const list of [tally.plain, tally.stream, tally.firstEvent]) list.length = 0
}

function latencies(tally: Tally): { plain: Latency; stream: Latency; firstEvent: Latency } {
  const of = (values: readonly number[]) => ({ p50: percentile(values, 50), p99: percentile(values, 99) })
  return { plain: of(tally.plain), stream: of(tally.stream), firstEvent: of(tally.firstEvent) }
}

function totalCpu(plan: LoadPlan): number {
  return plan.pids.reduce((sum, pid) => sum + cpuMicros(pid), 0)
}
