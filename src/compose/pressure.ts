import type { Config } from '#config/schema.ts'
import type { Pressure } from '#gateway/limits/overload.ts'
import { memoryOfProcess, samplePressure, unheldInterval } from '#telemetry/pressure.ts'

const GIGABYTE = 1024 ** 3

/** How hard the process has it. */
export interface Pressed {
  readonly read: () => Pressure
  /** What the process may use, in bytes: its share of what there is for all workers. */
  readonly memoryMax: () => number
  reload(config: Config): void
  stop(): void
}

/** Begins to measure. */
export function composePressure(config: Config, workers: number): Pressed {
  let limit = limitOf(config, workers)
  const sampler = samplePressure({
    now: () => performance.now(),
    every: unheldInterval,
    rss: () => process.memoryUsage.rss(),
    limit: () => limit,
  })
  return {
    read: sampler.read,
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
