import type { Bucket } from '#core/limiter.ts'
import { createMemoryLimiter } from '#stores/memory-limiter.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { axis, type Figure, line, scale, ticks, WIDTH, words } from './draw.ts'

const BUCKET: Bucket = {
  key: 'key:web:requests/minute',
  scope: 'key',
  unit: 'requests',
  limit: 60,
  periodMs: 60_000,
  burst: 10,
}
const STEP_MS = 250
const END_MS = 36_000
/** When somebody sends a request each step. */
const BUSY = [
  [2000, 14_000],
  [26_000, 34_000],
] as const

/** Has the limiter decide over a flood, a pause and another flood. */
export function drawLimits(): Figure {
  const clock = fakeClock()
  const limiter = createMemoryLimiter({ clock, entriesMax: 1 })
  const saved: [number, number][] = []
  const answered: number[] = []
  const refused: number[] = []
  const note = () => {
    const debt = limiter.debts([BUCKET])[0] ?? 0
    saved.push([clock.now(), BUCKET.burst - (debt * BUCKET.limit) / BUCKET.periodMs])
  }
  for (let now = 0; now <= END_MS; now += STEP_MS) {
    note()
    if (BUSY.some(([from, to]) => now >= from && now < to)) {
      const { refused: by } = limiter.take([BUCKET], 0, `${now}`)
      ;(by === null ? answered : refused).push(now)
      note()
    }
    clock.advance(STEP_MS)
  }

  const x = scale([0, END_MS], [74, WIDTH - 14])
  const y = scale([0, BUCKET.burst], [120, 32])
  const seconds = [0, 6, 12, 18, 24, 30, 36]
  return {
    title: 'A limit of 60 requests a minute with a burst of 10',
    drawn: [
      words(8, 16, 'saved up'),
      ...[0, 5, 10].flatMap(count => [
        line('grid', [
          [74, y(count)],
          [WIDTH - 14, y(count)],
        ]),
        words(66, y(count) + 4, `${count}`, 'small end'),
      ]),
      line(
        'good',
        saved.map(([at, count]) => [x(at), y(count)]),
      ),
      words(8, 150, 'answered'),
      ticks('good', answered.map(x), 138, 16),
      words(8, 178, '429'),
      ticks('bad', refused.map(x), 170, 8),
      ...axis(
        194,
        seconds.map(at => [x(at * 1000), at === 36 ? '36 s' : `${at}`]),
        [74, WIDTH - 14],
      ),
    ],
  }
}
