import { ALONE, type Crew } from '#core/crew.ts'
import type { Limiter } from '#core/limiter.ts'
import type { Places } from '#core/places.ts'
import { createMachineTime } from '#stores/machine-time.ts'
import { type MetricFiles, openMetricFiles } from '#stores/metric-files.ts'
import { openSharedMemory } from '#stores/shared.ts'
import { createSharedLimiter } from '#stores/shared-limiter.ts'
import { createSharedPlaces } from '#stores/shared-places.ts'

/** The place of a gateway that runs as one of several workers. */
export interface WorkerPlace {
  readonly crew: Crew
  /** The folder of the shared files, and the number of this worker in them. */
  readonly folder: string
  readonly place: number
  /** Unique over all processes of all machines, also those that have ended. */
  readonly name: string
  /** For how long the supervisor had seen the wall clock not being set, in milliseconds. */
  readonly steadyMs: number
}

/** What a gateway shares with the other workers of its machine; empty where it is alone. */
export interface Shared {
  /** The name of this process, unique over all that have ever been. */
  readonly name: string
  readonly crew: Crew
  readonly limiter: Limiter | null
  readonly places: Places | null
  readonly metrics: MetricFiles | undefined
  readonly steadyMs: number
}

/** Opens what the workers share. */
export function openShared(worker: WorkerPlace | undefined): Shared {
  if (worker === undefined)
    return { name: crypto.randomUUID(), crew: ALONE, limiter: null, places: null, metrics: undefined, steadyMs: 0 }
  const { crew, folder, place, name, steadyMs } = worker
  const memory = openSharedMemory(folder, place)
  return {
    name,
    crew,
    limiter: createSharedLimiter(memory, { now: createMachineTime() }),
    places: createSharedPlaces(memory),
    metrics: openMetricFiles(folder, name),
    steadyMs,
  }
}
