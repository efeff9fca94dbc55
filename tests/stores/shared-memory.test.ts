import { afterAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createMachineTime } from '#stores/machine-time.ts'
import { createSharedFolder, openSharedMemory } from '#stores/shared.ts'

const PROCESS = new URL('./shared-process.ts', import.meta.url).pathname
const removals: (() => void)[] = []
afterAll(() => {
  for (const remove of removals) remove()
})

function sharedFolder(): string {
  const { folder, remove } = createSharedFolder()
  removals.push(remove)
  return folder
}

/** Runs a process on a shared memory.
 *
 * @returns What it wrote. */
async function runProcess(folder: string, place: number, task: string, count: number): Promise<string> {
  const child = Bun.spawn([process.execPath, PROCESS, folder, String(place), task, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const text = await new Response(child.stdout).text()
  await child.exited
  return text
}

describe('shared memory', () => {
  test('counts exactly when several processes count at the same time', async () => {
    const folder = sharedFolder()
    const memory = openSharedMemory(folder, 1)
    await Promise.all([2, 3].map(place => runProcess(folder, place, 'add', 20_000)))

    expect(memory.counts.of(memory.keyOf('all'))).toBe(40_000)
    memory.reclaim(2)
    expect(memory.counts.of(memory.keyOf('all'))).toBe(20_000)
  })

  test('lets several processes decide over several buckets as a single one would', async () => {
    const folder = sharedFolder()
    const admitted = await Promise.all([2, 3].map(place => runProcess(folder, place, 'take', 5000)))

    expect(admitted.map(Number).reduce((sum, each) => sum + each)).toBe(1000)
  })

  test('is not locked for ever by a process that dies while it holds the lock', async () => {
    const folder = sharedFolder()
    const memory = openSharedMemory(folder, 1)
    await runProcess(folder, 2, 'die', 0)
    memory.lock()
    memory.counts.add(memory.keyOf('mine'))
    memory.unlock()

    expect(memory.counts.of(memory.keyOf('mine'))).toBe(1)
  })

  test('that a killed supervisor left is removed by the next one', () => {
    const own = createSharedFolder()
    removals.push(own.remove)
    const gone = Bun.spawnSync(['true']).pid
    const left = join(dirname(own.folder), `citadel-workers-${gone}-xxxxxx`)
    mkdirSync(left)
    removals.push(createSharedFolder().remove)

    expect([existsSync(left), existsSync(own.folder)]).toEqual([false, true])
  })

  test('cannot be read by other users', async () => {
    const folder = sharedFolder()
    const { stat } = await import('node:fs/promises')

    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    for (const file of readdirSync(folder)) expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600)
  })
})

test('the time of the machine is the same in every process', async () => {
  const here = createMachineTime()
  const folder = mkdtempSync(join(tmpdir(), 'citadel-time-'))
  removals.push(() => rmSync(folder, { recursive: true }))
  const before = here()
  const there = Number(await runProcess(folder, 2, 'time', 0))
  const after = here()

  // The clock of the system has steps of ten milliseconds.
  expect(there).toBeGreaterThan(before - 10)
  expect(there).toBeLessThan(after + 10)
})
