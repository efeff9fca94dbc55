// Does the gateway leak? `bun scripts/soak.ts --minutes 2 --concurrency 50`: calls of which three in ten are left by the
// client at any moment, half of them streams, to model servers that break off one answer in twenty. Loopback only.
// It fails when a slot or descriptor is left over, an answer has no true end, or memory grows by more than 1 MB a minute
// after the first three. The slope is the median of the slopes between all pairs of floors (the least of ten seconds
// each), which neither a late collection nor one odd minute moves.
import { parseArgs } from 'node:util'
import { type SoakGateway, startSoakGateway } from './soak/gateway.ts'
import { type Load, startLoad } from './soak/load.ts'
import { floorsOf, type Sample, slopeOf } from './soak/slope.ts'
import { type SoakUpstream, startSoakUpstream } from './soak/upstream.ts'

const SAMPLE_MS = 1000
const PRINT_EVERY = 10
/** How long memory may still find its level: the heap of the runtime grows for some minutes to what the load needs. */
const WARM_MINUTES = 3
/** What is left of a shorter run is noise: a collection more or less is several megabytes. */
const MINUTES_MIN = 5
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
  const judged = minutes >= MINUTES_MIN
  const floors = floorsOf(judged ? samples.filter(sample => sample.minutes >= WARM_MINUTES) : samples, FLOOR_OF)
  const slope = slopeOf(floors)
  const { ok, aborted, interrupted, refused, wrong } = load.tally
  const [answers, broken] = [sum(servers, one => one.answers), sum(servers, one => one.broken)]
  console.log(`requests          ${ok} whole, ${aborted} left, ${interrupted} interrupted, ${refused} refused`)
  console.log(`upstream          ${answers} answers, ${broken} of them broken off`)
  console.log(`memory slope      ${slopeText(slope, judged)}`)
  console.log(`memory floors     ${floors.map(({ value }) => value.toFixed(0)).join(' ')} MB`)
  console.log(`descriptors       ${before.descriptors} before, ${after.descriptors} after`)
  console.log(`leaked slots      ${leaked}`)
  console.log(`without an end    ${wrong}`)
  const flat = !judged || (slope !== null && slope <= SLOPE_MAX)
  const fine = flat && leaked === 0 && after.descriptors <= most && wrong === 0
  const good = judged ? 'Nothing leaked.' : 'No slot and no descriptor leaked; memory was not judged.'
  console.log(fine ? good : 'Something leaked or ended wrongly.')
  return fine
}

function slopeText(slope: number | null, judged: boolean): string {
  const measured = slope === null ? 'not measured' : `${slope.toFixed(2)} MB a minute`
  return judged
    ? `${measured} of its floor after the first ${WARM_MINUTES} minutes (at most ${SLOPE_MAX})`
    : `${measured}, warm-up included: a run of less than ${MINUTES_MIN} minutes is too short to judge it`
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
