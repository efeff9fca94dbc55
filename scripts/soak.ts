// Does the gateway leak? `bun scripts/soak.ts --minutes 2 --concurrency 50`: calls of which three in ten are left by the
// client at any moment, half of them streams, to model servers that break off one answer in twenty. Loopback only.
import { parseArgs } from 'node:util'
import { type SoakGateway, startSoakGateway } from './soak/gateway.ts'
import { type Load, startLoad } from './soak/load.ts'
import { floorsOf, type Sample, slopeOf } from './soak/slope.ts'
import { type SoakUpstream, startSoakUpstream } from './soak/upstream.ts'

const SAMPLE_MS = 1000
const PRINT_EVERY = 10
/** The share of the time in which memory may still find its level, and its most, in minutes. */
const WARM_SHARE = 1 / 3
const WARM_MINUTES_MAX = 3
/** Megabytes a minute. */
const SLOPE_MAX = 1
/** Looks of which the lowest is the floor. */
const FLOOR_OF = 10
/** Descriptors that may be more at the end than at the beginning: connections that are kept for the next request. */
const DESCRIPTORS_MORE_MAX = 8
const SETTLE_SECONDS = 20

const { minutes, concurrency } = options()
const upstreams = [startSoakUpstream(), startSoakUpstream()]
const gateway = await startSoakGateway(upstreams.map(({ port }) => port))
try {
  process.exitCode = (await soak(gateway, upstreams)) ? 0 : 1
} finally {
  await gateway.stop()
  for (const upstream of upstreams) upstream.stop()
}

async function soak(subject: SoakGateway, servers: readonly SoakUpstream[]): Promise<boolean> {
  const before = await subject.look()
  const load = startLoad(subject.url, concurrency)
  const samples = await watch(subject, load)
  await load.stop()
  const leaked = (await until(subject, ({ inFlight }) => inFlight === 0)).inFlight
  // Connections that are kept for the next request end with the servers.
  for (const server of servers) server.stop()
  const most = before.descriptors + DESCRIPTORS_MORE_MAX
  const after = await until(subject, ({ descriptors }) => descriptors <= most)
  const warm = Math.min(minutes * WARM_SHARE, WARM_MINUTES_MAX)
  const settled = samples.filter(sample => sample.minutes >= warm)
  const floors = floorsOf(settled, FLOOR_OF)
  const { perMinute, error } = slopeOf(floors)
  const { ok, aborted, interrupted, refused, wrong } = load.tally
  const [answers, broken] = [sum(servers, one => one.answers), sum(servers, one => one.broken)]
  console.log(`requests          ${ok} whole, ${aborted} left, ${interrupted} interrupted, ${refused} refused`)
  console.log(`upstream          ${answers} answers, ${broken} of them broken off`)
  console.log(
    `memory slope      ${perMinute.toFixed(2)} ± ${error.toFixed(2)} MB a minute of its floor after the first ${(warm * 60).toFixed(0)} s`,
  )
  console.log(
    `                  ${slopeOf(settled).perMinute.toFixed(2)} MB a minute of all that it held, garbage with it`,
  )
  console.log(`memory floors     ${floors.map(({ value }) => value.toFixed(0)).join(' ')} MB`)
  console.log(`descriptors       ${before.descriptors} before, ${after.descriptors} after`)
  console.log(`leaked slots      ${leaked}`)
  console.log(`without an end    ${wrong}`)
  // A short run cannot tell a small slope from none: what is within twice its error is none. Ten minutes can.
  const flat = perMinute <= SLOPE_MAX || perMinute <= 2 * error
  const fine = flat && leaked === 0 && after.descriptors <= most && wrong === 0
  console.log(fine ? 'Nothing leaked.' : 'Something leaked or ended wrongly.')
  return fine
}

/** Looks at the gateway every second until the time is over, and prints every tenth look. */
async function watch(subject: SoakGateway, load: Load): Promise<readonly Sample[]> {
  const samples: Sample[] = []
  const begun = performance.now()
  const end = begun + minutes * 60_000
  while (performance.now() < end) {
    await Bun.sleep(SAMPLE_MS)
    const { rssMb, descriptors, inFlight } = await subject.look()
    const seconds = (performance.now() - begun) / 1000
    samples.push({ minutes: seconds / 60, value: rssMb })
    if (samples.length % PRINT_EVERY > 0) continue
    const requests = Object.values(load.tally).reduce((all, count) => all + count, 0)
    const figures = [`${requests} requests`, `${rssMb.toFixed(1)} MB`, `${descriptors} descriptors`]
    console.log(`${seconds.toFixed(0).padStart(5)} s  ${figures.join('  ')}  ${inFlight} in flight`)
  }
  return samples
}

/** Looks until it is as it should be, or time is over; the last look counts. */
async function until(subject: SoakGateway, good: (sight: Awaited<ReturnType<SoakGateway['look']>>) => boolean) {
  let sight = await subject.look()
  for (let second = 0; second < SETTLE_SECONDS && !good(sight); second++) {
    await Bun.sleep(1000)
    sight = await subject.look()
  }
  return sight
}

function sum<T>(all: readonly T[], of: (one: T) => number): number {
  return all.reduce((total, one) => total + of(one), 0)
}

function options(): { readonly minutes: number; readonly concurrency: number } {
  const { values } = parseArgs({
    options: { minutes: { type: 'string', default: '10' }, concurrency: { type: 'string', default: '50' } },
  })
  const read = { minutes: Number(values.minutes), concurrency: Number(values.concurrency) }
  const fits = (value: number, most: number) => value > 0 && value <= most
  if (fits(read.minutes, 24 * 60) && fits(read.concurrency, 1000) && Number.isInteger(read.concurrency)) return read
  throw new Error('--minutes takes a number up to 1440, --concurrency a whole number from 1 to 1000')
}
