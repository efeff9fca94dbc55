import { createHedges } from '#policies/hedge.ts'
import { createStates } from '#registry/states.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { seeded } from '#tests/support/random.ts'
import { axis, type Figure, line, scale, WIDTH, words } from './draw.ts'

const CALLS = 50_000
const FIRST = target('primary')
const CHAT = model('chat', [FIRST], { hedging: { after: { percentile: 95 }, maxPercent: 5 } })
const STREAM = call({ stream: true })
const END_MS = 5000
const LOWEST = 0.001

/** Has hedging decide over calls to servers that answer within half a second or so, but for three in a hundred calls,
 * which take ten times as long. */
export function drawHedging(): Figure {
  const chance = seeded(7)
  const hedges = createHedges(createStates())
  const alone: number[] = []
  const hedged: number[] = []
  for (let n = 0; n < CALLS; n++) {
    const first = contentAfter(chance)
    const after = hedges.delay(STREAM, CHAT, FIRST)
    let ms = first
    if (after !== null && first > after && hedges.hasRoom(CHAT)) {
      hedges.count(CHAT)
      ms = Math.min(first, after + contentAfter(chance))
    }
    hedges.observe(FIRST, true, ms)
    alone.push(first)
    hedged.push(ms)
  }

  const x = scale([0, END_MS], [56, WIDTH - 20])
  const y = scale([0, Math.log10(LOWEST)], [24, 180])
  const levels = [1, 0.1, 0.01, LOWEST]
  const seconds = [0, 1, 2, 3, 4, 5]
  const curve = (times: readonly number[]) =>
    waiting(times).map(([ms, share]) => [x(ms), y(Math.log10(share))] as const)
  return {
    title: 'Calls that still wait for their first content, with and without hedging',
    drawn: [
      ...levels.flatMap(share => [
        line('grid', [
          [56, y(Math.log10(share))],
          [WIDTH - 20, y(Math.log10(share))],
        ]),
        words(50, y(Math.log10(share)) + 4, `${share * 100} %`, 'small end'),
      ]),
      line('plain', curve(alone)),
      line('good', curve(hedged)),
      words(x(2650), y(Math.log10(0.05)), 'without hedging'),
      words(x(1200), y(Math.log10(0.0021)), 'with hedging after p95'),
      ...axis(
        184,
        seconds.map(at => [x(at * 1000), at === 5 ? '5 s' : `${at}`]),
        [56, WIDTH - 20],
      ),
      words(WIDTH - 20, 222, 'share of calls without any content yet, by time', 'small end'),
    ],
  }
}

/** How long a server takes: its usual time varies by a quarter. */
function contentAfter(chance: () => number): number {
  const usual = 400 * Math.exp(0.25 * Math.sqrt(-2 * Math.log(1 - chance())) * Math.cos(2 * Math.PI * chance()))
  return chance() < 0.03 ? 10 * usual : usual
}

/** The share of the calls that take longer, for each twentieth of a second. */
function waiting(times: readonly number[]): [ms: number, share: number][] {
  const sorted = times.toSorted((left, right) => left - right)
  const points: [number, number][] = []
  let passed = 0
  for (let ms = 0; ms <= END_MS; ms += 50) {
    while (passed < sorted.length && (sorted[passed] ?? 0) <= ms) passed++
    const share = 1 - passed / sorted.length
    if (share < LOWEST) return points
    points.push([ms, share])
  }
  return points
}
