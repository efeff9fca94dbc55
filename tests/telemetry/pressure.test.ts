import { describe, expect, test } from 'bun:test'
import { memoryOfProcess, samplePressure } from '#telemetry/pressure.ts'

function setup() {
  let now = 0
  let rss = 100
  let tick = () => {}
  let stopped = false
  let collections = 0
  const sampler = samplePressure({
    now: () => now,
    every(_, run) {
      tick = run
      return () => {
        stopped = true
      }
    },
    rss: () => rss,
    collect() {
      now += 20
      rss = 300
      collections++
    },
    collectFrom: 0.9,
    limit: () => 1000,
  })
  return {
    sampler,
    stopped: () => stopped,
    collections: () => collections,
    use(bytes: number) {
      rss = bytes
    },
    /** Lets turns of the event loop pass, each this late. */
    turn(lateMs: number, times = 1) {
      for (let index = 0; index < times; index++) {
        now += 100 + lateMs
        tick()
      }
    },
  }
}

describe('the sampler', () => {
  test('reports how late the event loop is', () => {
    const { sampler, turn } = setup()
    turn(0, 50)
    turn(300, 50)

    expect(sampler.read().lagMs).toBe(300)
  })

  test('ignores a single late turn of the event loop', () => {
    const { sampler, turn } = setup()
    turn(0, 99)
    turn(5000)

    expect(sampler.read().lagMs).toBe(0)
  })

  test('does not ignore the second late turn of ten seconds', () => {
    const { sampler, turn } = setup()
    turn(0, 98)
    turn(5000, 2)

    expect(sampler.read().lagMs).toBe(5000)
  })

  test('forgets measurements after ten seconds', () => {
    const { sampler, turn } = setup()
    turn(300, 100)
    turn(0, 100)

    expect(sampler.read().lagMs).toBe(0)
  })

  test('counts what was announced until it must be seen', () => {
    const { sampler, turn } = setup()
    turn(0)
    sampler.announce(100)
    sampler.announce(50)

    const seen = [sampler.announced()]
    turn(0)
    seen.push(sampler.announced())
    sampler.announce(200)
    turn(0, 2)
    seen.push(sampler.announced())
    turn(0, 2)
    seen.push(sampler.announced())

    expect(seen).toEqual([0.15, 0.15, 0.2, 0])
    expect(sampler.read().memory).toBe(0.1)
  })

  test('collects garbage before it looks again, and rests after that was of no use', () => {
    const { sampler, turn, use, collections } = setup()
    use(840)
    turn(0, 2)
    sampler.announce(100)

    sampler.lookAgain()
    const seen = [sampler.read().memory, sampler.announced()]
    const counts = [0, 1, 2].map(() => {
      sampler.lookAgain()
      turn(0)
      return collections()
    })

    expect(seen).toEqual([0.3, 0.1])
    expect(counts).toEqual([2, 2, 3])
  })

  test.each([
    [390, 1],
    [410, 2],
  ])(
    'collects garbage again at once where a tenth of the memory was freed: of %d thousandths 300 stay',
    (used, times) => {
      const { sampler, turn, use, collections } = setup()
      use(used)
      turn(0, 2)

      sampler.lookAgain()
      sampler.lookAgain()

      expect(collections()).toBe(times)
    },
  )

  test('collects garbage before so much memory counts that all calls are refused', () => {
    const { sampler, turn, use, collections } = setup()
    use(890)
    turn(0, 2)
    const below = [sampler.read().memory, collections()]

    use(900)
    turn(0, 2)

    expect([...below, sampler.read().memory, collections()]).toEqual([0.89, 0, 0.3, 1])
  })

  test('does not take the time of its own collections for a late event loop', () => {
    const { sampler, turn, use } = setup()
    for (let times = 0; times < 3; times++) {
      use(910)
      turn(0, 2)
    }
    turn(0)

    expect(sampler.read().lagMs).toBe(0)
  })

  test('measures the memory five times a second', () => {
    const { sampler, turn, use } = setup()
    use(800)
    expect(sampler.read().memory).toBe(0.1)

    turn(0, 2)

    expect(sampler.read().memory).toBe(0.8)
  })

  test('measures nothing after it was stopped', () => {
    const { sampler, stopped } = setup()
    sampler.stop()

    expect(stopped()).toBe(true)
  })
})

test('the memory of a process that can open no more files is as it was last', () => {
  const code = `
    import { openSync } from 'node:fs'
    import { createProcessGauges } from '#telemetry/process.ts'
    const gauges = createProcessGauges({}).slice(0, 2)
    const read = () => gauges.map(each => each.samples()[0].value)
    const before = read()
    try { for (;;) openSync('/dev/null') } catch {}
    console.log(JSON.stringify(read().map((each, index) => each === before[index] && each > 0)))`
  const command = ['sh', '-c', 'ulimit -n 64; exec "$@"', 'sh', process.execPath, '-e', code]
  const { stdout, stderr } = Bun.spawnSync(command, { cwd: import.meta.dir })

  expect([`${stdout}`.trim(), `${stderr}`]).toEqual(['[true,true]', ''])
})

test('a process whose load is measured ends when it has nothing else to do', () => {
  const code = `import { unheldInterval } from '#telemetry/pressure.ts'; unheldInterval(100, () => {})`
  const { exitCode } = Bun.spawnSync([process.execPath, '-e', code], { cwd: import.meta.dir, timeout: 4000 })

  expect(exitCode).toBe(0)
})

test('the memory limit of a process is known', () => {
  expect(memoryOfProcess()).toBeGreaterThan(process.memoryUsage.rss())
})
