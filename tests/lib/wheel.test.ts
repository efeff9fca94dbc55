import { fullGC, heapStats } from 'bun:jsc'
import { describe, expect, test } from 'bun:test'
import { createWheel } from '#lib/wheel.ts'

test('runs what is due, in the order of the deadlines, and nothing twice', async () => {
  const ran: string[] = []
  const after = createWheel()

  await new Promise<void>(resolve => {
    after(40, () => {
      ran.push('later')
      resolve()
    })
    after(10, () => ran.push('soon'))
  })

  expect(ran).toEqual(['soon', 'later'])
})

test('never runs what was cancelled', async () => {
  const ran: string[] = []
  const after = createWheel()

  const cancel = after(10, () => ran.push('cancelled'))
  cancel()
  await new Promise<void>(resolve => after(30, resolve))

  expect(ran).toEqual([])
})

test('runs no deadline early', async () => {
  const after = createWheel()
  const startedAt = performance.now()

  await new Promise<void>(resolve => after(25, resolve))

  expect(performance.now() - startedAt).toBeGreaterThanOrEqual(25)
})

test.each([50, 300])(
  'runs none early that is set up behind a block of the loop, while the wheel turns: %p ms',
  async ms => {
    const after = createWheel()
    const keep = after(60_000, () => {})
    await new Promise<void>(resolve => after(5, resolve))

    const until = performance.now() + 200
    while (performance.now() < until);
    const startedAt = performance.now()
    await new Promise<void>(resolve => after(ms, resolve))

    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(ms)
    keep()
  },
)

test('runs none early that another one sets up behind a block', async () => {
  let now = 0
  let waited: number | null = null
  const after = createWheel(() => now)
  const block = () => {
    now += 100
  }
  const keep = after(10, () => {
    block()
    after(60_000, () => {})
  })
  after(10, () => {
    block()
    const startedAt = now
    after(50, () => {
      waited = now - startedAt
    })
  })

  for (let tick = 0; tick < 20 && waited === null; tick++) {
    now += 10
    await new Promise<void>(resolve => setTimeout(resolve, 15))
  }

  expect(waited).toBeGreaterThanOrEqual(50)
  keep()
})

describe('at rest', () => {
  /** After so long it sleeps, in milliseconds. */
  const RESTED_MS = 100
  const rest = () => new Promise<void>(resolve => createWheel()(RESTED_MS, resolve))

  test('it looks at the time only when something is due', async () => {
    let looks = 0
    const after = createWheel(() => {
      looks++
      return performance.now()
    })
    const keep = after(60_000, () => {})
    await rest()
    const before = looks

    await new Promise<void>(resolve => createWheel()(500, resolve))

    expect(looks - before).toBeLessThan(5)
    keep()
  })

  test('it wakes for what is armed, and for what was due while the loop was blocked', async () => {
    const after = createWheel()
    const ran: string[] = []
    const startedAt = performance.now()
    const elder = new Promise<void>(resolve => after(2 * RESTED_MS, () => resolve(void ran.push('elder'))))
    await rest()

    while (performance.now() < startedAt + 3 * RESTED_MS);
    const armedAt = performance.now()
    const younger = new Promise<number>(resolve => after(30, () => resolve(performance.now())))

    expect((await younger) - armedAt).toBeGreaterThanOrEqual(30)
    await elder
    expect(ran).toEqual(['elder'])
  })

  test('a deadline that is armed then is not missed by more than a few ticks', async () => {
    const after = createWheel()
    const keep = after(60_000, () => {})
    await rest()

    const armedAt = performance.now()
    const lateBy = await new Promise<number>(resolve => after(20, () => resolve(performance.now() - armedAt - 20)))

    expect(lateBy).toBeGreaterThanOrEqual(0)
    expect(lateBy).toBeLessThan(500)
    keep()
  })

  for (const [name, arm] of [
    ['by what it has woken for', (run: () => void) => run()],
    ['behind the last one', (run: () => void) => setTimeout(run)],
  ] as const) {
    test(`nor is one that is armed ${name}`, async () => {
      const after = createWheel()
      let armedAt = 0

      const lateBy = await new Promise<number>(resolve => {
        const armNext = () => {
          armedAt = performance.now()
          after(20, () => resolve(performance.now() - armedAt - 20))
        }
        after(RESTED_MS, () => arm(armNext))
      })

      expect(lateBy).toBeLessThan(500)
    })
  }
})

test('still takes back what was set up behind a block', async () => {
  const ran: string[] = []
  const after = createWheel()
  await new Promise<void>(resolve => after(5, resolve))
  const keep = after(1000, () => {})

  const until = performance.now() + 100
  while (performance.now() < until);
  const [before, later] = [after(20, () => ran.push('at once')), after(20, () => ran.push('later'))]
  before()
  await new Promise<void>(resolve => setTimeout(resolve, 15))
  later()
  await new Promise<void>(resolve => after(200, resolve))

  expect(ran).toEqual([])
  keep()
})

test('catches up after the loop was blocked for longer than many ticks', async () => {
  const ran: number[] = []
  const after = createWheel()
  const done = Promise.all(
    [10, 30, 50].map(ms => new Promise<void>(resolve => after(ms, () => resolve(void ran.push(ms))))),
  )

  const until = performance.now() + 120
  while (performance.now() < until);
  await done

  expect(ran).toEqual([10, 30, 50])
})

test('a timer that is set up while another runs still runs', async () => {
  const after = createWheel()

  const value = await new Promise<string>(resolve => after(5, () => after(5, () => resolve('second'))))

  expect(value).toBe('second')
})

test('what is cancelled leaves nothing behind, however different the delays are', () => {
  const after = createWheel()
  const objects = () => {
    fullGC()
    return heapStats().objectTypeCounts.Object ?? 0
  }
  const cancelLast = after(60_000, () => {})
  const before = objects()

  for (let count = 1; count <= 50_000; count++) after(count * 1_234_567, () => {})()

  expect(objects() - before).toBeLessThan(5000)
  cancelLast()
})

test('runs a long deadline when it is due, and at most a fiftieth later', async () => {
  const fewTicks = () => new Promise<void>(resolve => createWheel()(25, resolve))
  for (const hours of [1, 1.9, 30, 1e9]) {
    let now = 0
    let ran = false
    const after = createWheel(() => now)
    const ms = hours * 3_600_000
    after(ms, () => {
      ran = true
    })

    // It turns, so that what comes is no block of the loop behind which it may have been armed; what is armed wakes it.
    now = 10
    await fewTicks()
    now = ms - 1
    after(1, () => {})
    await fewTicks()
    expect(ran).toBe(false)
    now = ms * 1.02
    after(1, () => {})
    await fewTicks()
    expect(ran).toBe(true)
  }
})

test('a timer that throws keeps no other one from its turn, and the process hears of it', () => {
  const code = `
    import { createWheel } from '#lib/wheel.ts'
    process.on('uncaughtException', error => console.log(error.message))
    const after = createWheel()
    after(20, () => { throw new Error('thrown') })
    after(20, () => console.log('beside it'))
    after(60, () => { console.log('later'); process.exit() })
    setTimeout(() => process.exit(), 10_000)
  `
  const { stdout, stderr } = Bun.spawnSync([process.execPath, '-e', code], { cwd: import.meta.dir })

  expect([`${stdout}`.trim().split('\n'), `${stderr}`]).toEqual([['beside it', 'thrown', 'later'], ''])
})
