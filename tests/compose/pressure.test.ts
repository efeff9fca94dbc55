import { expect, test } from 'bun:test'
import { composePressure } from '#src/compose/pressure.ts'
import { configFrom } from '#src/index.ts'

test('large bodies that come together are let in as far as there is memory for all of them', () => {
  const config = configFrom({ performance: { memory_limit_gb: 0.1 } })
  const pressure = composePressure(config, 1, () => ({ lagMs: 0, memory: 0.5 }))
  const { admit, refusal } = pressure.load.bodies

  const admitted = Array.from({ length: 10 }, () => admit(4_000_000) === null)
  pressure.stop()

  expect(admitted).toEqual([true, true, true, false, false, false, false, false, false, false])
  expect(refusal()).toBeNull()
})

test('each of several workers has its share of the memory, also of the one that a reload allows', () => {
  const allowed = (memory_limit_gb: number) => configFrom({ performance: { memory_limit_gb } })
  const pressure = composePressure(allowed(0.5), 4, () => ({ lagMs: 0, memory: 0.5 }))
  const { admit } = pressure.load.bodies
  const before = [pressure.memoryMax(), admit(5_000_000)?.code]

  pressure.reload(allowed(0.1))
  const after = [pressure.memoryMax(), admit(5_000_000)?.code]
  pressure.stop()

  expect([before, after]).toEqual([
    [0.125 * 1024 ** 3, undefined],
    [0.025 * 1024 ** 3, 'overloaded'],
  ])
})

test('a large body is refused only by what is left of the memory once garbage is collected', () => {
  const looks = [0.91, 0.3, 0.91, 0.91]
  const config = configFrom({ performance: { memory_limit_gb: 0.1 } })
  const pressure = composePressure(config, 1, () => ({ lagMs: 0, memory: looks.shift() ?? 0 }))
  const { admit } = pressure.load.bodies

  const admitted = [admit(4_000_000), admit(4_000_000)].map(refusal => refusal === null)
  pressure.stop()

  expect(admitted).toEqual([true, false])
})
