import type { Config } from '#config/schema.ts'
import {
  bodyRefusalOf,
  heldFor,
  isExhausted,
  MEMORY_ALL,
  overloadOf,
  type Pressure,
  refusalOf,
  roomRefusalOf,
} from '#gateway/limits/overload.ts'
import type { Services } from '#http/services.ts'
import { collectGarbage } from '#stores/machine-memory.ts'
import { residentBytes } from '#telemetry/memory.ts'
import { memoryOfProcess, samplePressure, unheldInterval } from '#telemetry/pressure.ts'

const GIGABYTE = 1024 ** 3

/** The load of the process, and what follows from it. */
export interface Pressed {
  readonly read: () => Pressure
  readonly load: Services['load']
  /** How much memory the process may use, in bytes: its share of what all workers have. */
  readonly memoryMax: () => number
  reload(config: Config): void
  stop(): void
}

/** Begins to measure the load.
 *
 * @param given Measures instead, if the host of the gateway does that. */
export function composePressure(config: Config, workers: number, given?: () => Pressure): Pressed {
  let limit = limitOf(config, workers)
  const sampler = samplePressure({
    now: () => performance.now(),
    every: unheldInterval,
    rss: residentBytes,
    collect: collectGarbage,
    collectFrom: MEMORY_ALL,
    limit: () => limit,
  })
  const read = given ?? sampler.read
  return {
    read,
    load: {
      refusal: priority => refusalOf(overloadOf(read()), priority),
      bodies: {
        refusal: () => bodyRefusalOf(overloadOf(read())),
        admit(bytes) {
          const held = heldFor(bytes)
          const look = () => roomRefusalOf(read().memory + sampler.announced() + held / limit)
          let refusal = look()
          if (refusal !== null) {
            // What earlier bodies left may still wait for the collector, which knows nothing of our limit.
            sampler.lookAgain()
            refusal = look()
          }
          if (refusal === null) sampler.announce(held)
          return refusal
        },
      },
      exhausted: () => isExhausted(read()),
    },
    memoryMax: () => limit,
    reload(next) {
      limit = limitOf(next, workers)
    },
    stop: sampler.stop,
  }
}

function limitOf({ performance: { memory_limit_gb: configured } }: Config, workers: number): number {
  const all = configured === null ? memoryOfProcess() : Math.min(configured * GIGABYTE, memoryOfProcess())
  return all / workers
}
