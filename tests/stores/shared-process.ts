/** What the tests of the shared memory run as a process of its own: `FOLDER PLACE TASK COUNT`. */
import { createMachineTime } from '#stores/machine-time.ts'
import { openSharedMemory } from '#stores/shared.ts'
import { createSharedLimiter } from '#stores/shared-limiter.ts'
import { bucket } from '#tests/contract/limiter.ts'

const [folder = '', place, task = '', count] = process.argv.slice(2)
const memory = () => openSharedMemory(folder, Number(place))

const tasks: Readonly<Record<string, () => void>> = {
  add() {
    const shared = memory()
    const key = shared.keyOf('all')
    for (let at = 0; at < Number(count); at++) {
      shared.lock()
      shared.counts.add(key)
      shared.unlock()
    }
  },
  take() {
    const limiter = createSharedLimiter(memory(), { now: () => 0 })
    const buckets = [bucket({ scope: 'global', burst: 1000 }), bucket({ key: 'other', burst: 100_000 })]
    let admitted = 0
    for (let at = 0; at < Number(count); at++) if (limiter.take(buckets, 0, `${at}`).refused === null) admitted++
    console.log(admitted)
  },
  die() {
    memory().lock()
    process.kill(process.pid, 'SIGKILL')
  },
  time: () => console.log(createMachineTime()()),
}
tasks[task]?.()
