import { describe, expect, test } from 'bun:test'
import type { News } from '#core/crew.ts'
import type { Settled } from '#src/cli/options.ts'
import { CommandFailed } from '#src/cli/output.ts'
import type { Worker } from '#src/cli/workers/member.ts'
import type { Order, Report } from '#src/cli/workers/messages.ts'
import { createWorkers } from '#src/cli/workers/workers.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const READY: Report = {
  type: 'ready',
  url: 'http://localhost:1',
  found: { lines: [], firstModel: null },
  authMode: 'none',
}

/** What it says is of no matter here. */
const SETTLED = {} as Settled

interface Process {
  readonly worker: Worker
  readonly leads: boolean
  readonly news: readonly News[]
  readonly orders: string[]
  killed: boolean
  /** Whether it answers nothing any more. */
  hangs: boolean
  report(report: Report): void
  exit(): Promise<void>
}

function setup({ size = 2, maxAgeMs = null as number | null, random = 0.5 } = {}) {
  const clock = fakeClock()
  const processes: Process[] = []
  const ended: string[] = []
  const warnings: string[] = []
  const waits: number[] = []
  const system = { hasProcesses: true }
  const workers = createWorkers({
    size,
    clock: {
      now: clock.now,
      after(ms, run) {
        waits.push(ms)
        return clock.after(ms, run)
      },
    },
    random: () => random,
    maxAgeMs: () => maxAgeMs,
    drain: () => ({ delayMs: 5000, timeoutMs: 600_000 }),
    spawn(worker, { leads, news }, listener) {
      if (!system.hasProcesses) throw new Error('EAGAIN')
      const process: Process = {
        ...{ worker, leads, news, orders: [], killed: false, hangs: false },
        report: listener.report,
        async exit() {
          listener.exit('with status 1')
          await settled()
        },
      }
      processes.push(process)
      return {
        pid: processes.length,
        send(order: Order) {
          if (order.type !== 'pulse')
            process.orders.push(order.type === 'news' ? `news ${order.news.type}` : order.type)
          else if (!process.hangs) listener.report({ type: 'pulse' })
        },
        kill: () => {
          process.killed = true
        },
      }
    },
    ended: ({ name }) => ended.push(name),
    onReport: () => {},
    log: {
      info() {},
      warn: (message, fields) => warnings.push(`${message} ${JSON.stringify(fields)}`),
    },
  })
  const nth = (index: number): Process => {
    const found = processes[index]
    if (found === undefined) throw new Error(`only ${processes.length} were started`)
    return found
  }
  return { clock, waits, workers, system, processes, ended, warnings, nth }
}

async function started(options?: Parameters<typeof setup>[0]) {
  const parts = setup(options)
  const start = parts.workers.start()
  for (const process of parts.processes) process.report(READY)
  await start
  return parts
}

describe('a start', () => {
  test('is over when all are ready, and one of them leads', async () => {
    const { workers, processes, nth } = setup({ size: 3 })
    let over = false
    const start = workers.start().then(() => {
      over = true
    })
    nth(0).report(READY)
    nth(2).report(READY)
    await settled()
    const before = over
    nth(1).report(READY)
    await start

    expect(before).toBe(false)
    expect(processes.map(({ leads }) => leads)).toEqual([true, false, false])
    expect(new Set(processes.map(({ worker }) => worker.place)).size).toBe(3)
  })

  test('fails with the first that cannot, and ends the others', async () => {
    const { workers, processes, nth } = setup()
    const start = workers.start().catch((thrown: unknown) => thrown)
    nth(0).report(READY)
    nth(1).report({ type: 'failed', message: 'the port is taken', status: 69 })
    await nth(1).exit()
    const failure = await start

    expect(failure).toBeInstanceOf(CommandFailed)
    expect(failure).toMatchObject({ message: 'the port is taken', status: 69 })
    expect(processes.map(({ killed }) => killed)).toEqual([true, false])
  })
})

describe('a worker that hangs while it serves', () => {
  test('is ended after a minute, and replaced', async () => {
    const { clock, processes, warnings, nth } = await started()
    clock.advance(15_000)
    nth(1).hangs = true
    clock.advance(45_000)
    const before = nth(1).killed
    clock.advance(10_000)
    await nth(1).exit()
    clock.advance(200)

    expect([before, nth(0).killed, nth(1).killed, processes.length]).toEqual([false, false, true, 3])
    expect(warnings[0]).toBe('a worker answers nothing; it is ended {"worker":2}')
  })

  test('is ended as soon when it was told to leave, and so is one that hangs while it leaves', async () => {
    const { workers, clock, nth } = await started()
    nth(0).hangs = true
    const rolled = workers.roll()
    for (const at of [2, 3]) {
      await settled()
      nth(at).report(READY)
    }
    await rolled
    clock.advance(61_000)

    expect([nth(0), nth(1)].map(({ orders, killed }) => [orders.includes('leave'), killed])).toEqual([
      [true, true],
      [true, false],
    ])
    nth(1).hangs = true
    clock.advance(70_000)
    expect(nth(1).killed).toBe(true)
  })

  test('is left alone where it says something now and then', async () => {
    const { clock, nth } = await started({ size: 1 })
    nth(0).hangs = true
    for (let minute = 0; minute < 3; minute++) {
      clock.advance(50_000)
      nth(0).report({ type: 'pulse' })
    }

    expect(nth(0).killed).toBe(false)
  })
})

describe('a worker that does not come to serve', () => {
  test('fails where the system has no process to give', async () => {
    const { workers, system } = setup()
    system.hasProcesses = false

    await expect(workers.start()).rejects.toThrow('no process could be started for it: Error: EAGAIN')
  })

  test('is killed after a minute', async () => {
    const { clock, workers, nth } = setup({ size: 1 })
    void workers.start()
    clock.advance(59_999)
    const before = nth(0).killed
    clock.advance(1)

    expect([before, nth(0).killed]).toEqual([false, true])
  })

  test('is no failure when it was told to stop', async () => {
    const { workers, nth } = setup({ size: 1 })
    const start = workers.start()
    workers.stop(0)
    await nth(0).exit()

    expect(await start).toEqual([])
    await workers.ended
  })
})

describe('a worker that dies', () => {
  test('is told of, and another one is started after a moment', async () => {
    const { clock, processes, ended, warnings, nth } = await started()
    await nth(1).exit()
    const before = processes.length
    clock.advance(100)

    expect([before, processes.length]).toEqual([2, 3])
    expect(ended).toEqual([nth(1).worker.name])
    expect(warnings).toEqual(['a worker ended; another one is started {"worker":2,"how":"with status 1"}'])
  })

  test('again and again is started less and less often', async () => {
    const { clock, processes, nth } = await started({ size: 1 })
    const waits: number[] = []
    for (let death = 0; death < 12; death++) {
      await nth(death).exit()
      const since = clock.now()
      while (processes.length === death + 1) clock.advance(50)
      waits.push(clock.now() - since)
      nth(death + 1).report(READY)
    }

    expect(waits).toEqual([100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 30_000])
  })

  test('after a minute of service is started soon again', async () => {
    const { clock, processes, nth } = await started({ size: 1 })
    for (let death = 0; death < 5; death++) {
      await nth(death).exit()
      clock.advance(30_000)
      nth(death + 1).report(READY)
    }
    clock.advance(60_000)
    await nth(5).exit()
    clock.advance(100)

    expect(processes).toHaveLength(7)
  })

  test('before it serves is tried again', async () => {
    const { clock, processes, warnings, nth } = await started({ size: 1 })
    await nth(0).exit()
    clock.advance(100)
    await nth(1).exit()
    clock.advance(199)
    const before = processes.length
    clock.advance(1)

    expect([before, processes.length]).toEqual([2, 3])
    expect(warnings.at(-1)).toContain('could not start')
  })

  test('is tried again while the system has no process to give', async () => {
    const { clock, system, processes, warnings, nth } = await started()
    system.hasProcesses = false
    await nth(1).exit()
    clock.advance(100)
    await settled()
    system.hasProcesses = true
    clock.advance(200)

    expect(processes).toHaveLength(3)
    expect(nth(2).worker.place).toBe(nth(1).worker.place)
    expect(warnings.at(-1)).toContain('no process could be started for it: Error: EAGAIN')
  })

  test('hands the lead to another one, which knows what was found', async () => {
    const { clock, nth } = await started()
    nth(0).report({ type: 'news', news: probed('a') })
    nth(0).report({ type: 'news', news: probed('a') })
    nth(0).report({ type: 'news', news: probed('b') })
    await nth(0).exit()
    clock.advance(100)

    const probes = ['news server-probed', 'news server-probed', 'news server-probed']
    expect(nth(1).orders).toEqual([...probes, 'news worker-ended', 'news lead'])
    expect([nth(2).leads, nth(2).news.length]).toEqual([false, 2])
  })

  test('is followed by one that is told how servers are, not what was suspected once', async () => {
    const { clock, nth } = await started()
    nth(0).report({ type: 'news', news: { type: 'server-suspected', server: 'a' } })
    await nth(0).exit()
    clock.advance(100)

    expect(nth(1).orders).toContain('news server-suspected')
    expect(nth(2).news).toEqual([])
  })

  test('is followed by one that knows the latest, however many servers there have been', async () => {
    const { clock, nth } = await started()
    nth(0).report({ type: 'news', news: probed('a') })
    for (let gone = 0; gone < 10_000; gone++) nth(0).report({ type: 'news', news: probed(`gone-${gone}`) })
    const latest = probed('a', { failures: 3 })
    nth(0).report({ type: 'news', news: latest })
    await nth(0).exit()
    clock.advance(100)

    expect(nth(2).news).toHaveLength(10_000)
    expect(nth(2).news.at(-1)).toEqual(latest)
  })

  test('hands on that the last reload failed, until one does not', async () => {
    const { workers, clock, nth } = await started()
    workers.tell({ type: 'reload-failed', message: 'wrong' }, 'leader')
    await nth(0).exit()
    const heir = [...nth(1).orders]
    await nth(1).exit()
    clock.advance(100)
    const [next, other] = [nth(2), nth(3)]
    workers.tell({ type: 'reload', settled: SETTLED })
    await next.exit()
    other.report(READY)

    expect(nth(0).orders).toEqual(['reload-failed'])
    expect(heir).toEqual(['news worker-ended', 'news lead', 'reload-failed'])
    expect(next.orders).toEqual(['reload-failed', 'reload'])
    expect(other.orders).toEqual(['reload', 'news worker-ended', 'news lead'])
  })

  test('leaves the lead to whoever serves next, where nobody does', async () => {
    const { clock, nth } = await started()
    for (let death = 0; death < 5; death++) {
      await nth(death + 1).exit()
      clock.advance(2000)
      if (death < 4) nth(death + 2).report(READY)
    }
    await nth(0).exit()
    nth(6).report(READY)

    expect(nth(6).orders).toEqual(['news worker-ended', 'news lead'])
  })

  test('gives its place in what they share to the next one only when it is free', async () => {
    const { clock, nth } = await started()
    await nth(0).exit()
    clock.advance(100)

    expect(nth(2).worker.place).toBe(nth(0).worker.place)
    expect(nth(2).worker.name).not.toBe(nth(0).worker.name)
  })
})

describe('replacing all', () => {
  test('lets each go only when another one serves, one after the other', async () => {
    const { workers, processes, nth } = await started()
    const rolled = workers.roll()
    await settled()
    const during = [processes.length, ...nth(0).orders]
    nth(2).report(READY)
    await settled()
    const between = [...nth(0).orders, processes.length, ...nth(1).orders]
    nth(3).report(READY)

    expect(await rolled).toBe(true)
    expect(during).toEqual([3])
    expect(between).toEqual(['leave', 4, 'news lead'])
    expect(nth(1).orders).toEqual(['news lead', 'leave'])
    expect(nth(2).orders).toEqual(['news lead'])
  })

  test('goes no further when a new one cannot start, and the old one stays', async () => {
    const { workers, processes, warnings, nth } = await started()
    const rolled = workers.roll()
    await settled()
    await nth(2).exit()

    expect(await rolled).toBe(false)
    expect(processes).toHaveLength(3)
    expect(nth(0).orders).not.toContain('leave')
    expect(warnings).toHaveLength(1)
  })

  test('goes no further while the system has no process to give, and ends when it is told to', async () => {
    const { workers, system, nth } = await started({ size: 1 })
    system.hasProcesses = false

    expect(await workers.roll()).toBe(false)
    workers.stop(0)
    await nth(0).exit()
    await workers.ended
  })

  test('starts no second one for a worker that dies while another is started in its place', async () => {
    const { workers, clock, processes, nth } = await started({ size: 1 })
    const rolled = workers.roll()
    await settled()
    await nth(0).exit()
    clock.advance(100)
    await settled()
    nth(1).report(READY)

    expect(await rolled).toBe(true)
    expect(processes).toHaveLength(2)
  })

  test('starts no second one for a worker that dies before its turn', async () => {
    const { workers, clock, processes, nth } = await started()
    const rolled = workers.roll()
    await settled()
    await nth(1).exit()
    clock.advance(100)
    nth(3).report(READY)
    nth(2).report(READY)

    expect(await rolled).toBe(true)
    expect(processes).toHaveLength(4)
  })

  test('starts one again for a worker that died while the one in its place could not start', async () => {
    const { workers, clock, processes, nth } = await started({ size: 1 })
    const rolled = workers.roll()
    await settled()
    await nth(0).exit()
    await nth(1).exit()
    clock.advance(100)

    expect(await rolled).toBe(false)
    expect(processes).toHaveLength(3)
  })

  test('waits for one that is just being started, which may know old settings', async () => {
    const { workers, clock, nth } = await started()
    await nth(1).exit()
    clock.advance(100)
    const rolled = workers.roll()
    await settled()
    nth(3).report(READY)
    await settled()
    nth(2).report(READY)
    await settled()
    nth(4).report(READY)

    expect(await rolled).toBe(true)
    expect(nth(2).orders).toContain('leave')
    expect(nth(4).orders).not.toContain('leave')
  })

  test('goes on where one that is just being started does not come to serve', async () => {
    const { workers, clock, processes, nth } = await started()
    await nth(1).exit()
    clock.advance(100)
    const rolled = workers.roll()
    await settled()
    nth(3).report(READY)
    await settled()
    await nth(2).exit()

    expect(await rolled).toBe(true)
    clock.advance(200)
    expect(processes).toHaveLength(5)
  })

  test('ends one that has left and does not come to its end', async () => {
    const { clock, workers, nth } = await started({ size: 1 })
    const rolled = workers.roll()
    await settled()
    nth(1).report(READY)
    await rolled
    clock.advance(5000 + 2 * 600_000)
    const before = nth(0).killed
    clock.advance(30_000)

    expect([before, nth(0).killed, nth(1).killed]).toEqual([false, true, false])
  })

  test('starts nobody for one that has left', async () => {
    const { clock, workers, processes, nth } = await started({ size: 1 })
    const rolled = workers.roll()
    await settled()
    nth(1).report(READY)
    await rolled
    await nth(0).exit()
    clock.advance(60_000)

    expect(processes).toHaveLength(2)
  })
})

describe('a worker that is to serve for so long', () => {
  test('is replaced when its time is over', async () => {
    const { clock, processes, nth } = await started({ size: 1, maxAgeMs: 10_000 })
    clock.advance(9999)
    await settled()
    const before = processes.length
    clock.advance(1)
    await settled()
    nth(1).report(READY)
    await settled()

    expect([before, processes.length]).toEqual([1, 2])
    expect(nth(0).orders).toEqual(['leave'])
  })

  test('is replaced no sooner, however long that is', async () => {
    const days = 86_400_000
    const { clock, waits, processes } = await started({ size: 1, maxAgeMs: 24 * days, random: 0.99 })
    // More a timer cannot count: it would run at once.
    const longest = 2 ** 31 - 1

    expect(Math.max(...waits)).toBeLessThanOrEqual(longest)
    clock.advance(24 * days)
    await settled()
    expect(processes).toHaveLength(1)
  })

  test('is replaced later when another one could not start', async () => {
    const { clock, processes, nth } = await started({ size: 1, maxAgeMs: 10_000 })
    clock.advance(10_000)
    await settled()
    await nth(1).exit()
    clock.advance(30_000)
    await settled()
    nth(2).report(READY)
    await settled()

    expect(processes).toHaveLength(3)
    expect(nth(0).orders).toEqual(['news worker-ended', 'leave'])
  })

  test('is replaced when it says that it has answered enough', async () => {
    const { nth } = await started({ size: 1 })
    nth(0).report({ type: 'spent' })
    await settled()
    nth(1).report(READY)
    await settled()

    expect(nth(0).orders).toEqual(['leave'])
  })
})

describe('a stop', () => {
  test('is told to all, a second one lets them hurry, and it is over when all have ended', async () => {
    const { workers, processes, nth } = await started()
    let over = false
    void workers.ended.then(() => {
      over = true
    })
    workers.stop(5)
    await nth(0).exit()
    const between = over
    workers.stop(5)
    await nth(1).exit()

    expect([between, over]).toEqual([false, true])
    expect(nth(1).orders).toEqual(['stop', 'hurry'])
    expect(processes).toHaveLength(2)
  })

  test.each([
    ['those that do not come to their end', 1, 635_000],
    ['those that hang soon after a second one', 2, 30_000],
  ])('kills %s', async (_, stops, afterMs) => {
    const { clock, workers, processes } = await started()
    for (let n = 0; n < stops; n++) workers.stop(5000)
    clock.advance(afterMs - 1)
    const before = processes.map(({ killed }) => killed)
    clock.advance(1)

    expect(before).toEqual([false, false])
    expect(processes.map(({ killed }) => killed)).toEqual([true, true])
  })

  test('lets no worker be started in place of one that has ended', async () => {
    const { clock, workers, processes, nth } = await started({ size: 1 })
    await nth(0).exit()
    workers.stop(0)
    await workers.ended
    clock.advance(60_000)

    expect(processes).toHaveLength(1)
  })
})

function probed(server: string, { failures = 0 } = {}) {
  const state = { failures, successes: 1, probedAt: 1, seenAt: 1, latencyMs: 1, reason: null }
  return { type: 'server-probed', server, state: { ...state, health: 'healthy' } } as const
}
