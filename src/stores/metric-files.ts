import { readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ENDING = '.metrics'
/** The name of the file with the totals of workers that have ended. */
const BASE = 'base'
/** How many ended workers the base names. A reader that finds both the file of one and its totals in the base counts it
 * once. */
const REMEMBERED_MAX = 256

interface Base {
  readonly snapshot: unknown
  /** The workers whose values are in it. */
  readonly names: readonly string[]
}

/** The metrics of all workers: one file for each running worker, and one, the base, for those that have ended. */
export interface MetricFiles {
  /** Writes the values of this worker. If it fails, the file stays as it was until the next write. */
  write(snapshot: unknown): void
  /** Reads the values of all workers, and the base. */
  readAll(): readonly unknown[]
  /** Adds the values of an ended worker to the base; called by the supervisor only. If it fails, both files stay as they
   * were.
   *
   * @param sum Combines two snapshots; `before` is `null` the first time. */
  fold(name: string, sum: (before: unknown, ended: unknown) => unknown): void
}

/** Opens the files of a folder for the worker of this name. Every change is one rename, so that a reader sees the numbers
 * of each worker exactly once, whatever happens meanwhile. */
export function openMetricFiles(folder: string, own: string): MetricFiles {
  const path = (name: string) => join(folder, name + ENDING)

  function put(name: string, value: unknown): void {
    const temporary = join(folder, `${name}.${process.pid}.writing`)
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600 })
    renameSync(temporary, path(name))
  }

  function get(name: string): unknown {
    try {
      return JSON.parse(readFileSync(path(name), 'utf8'))
    } catch {
      return null
    }
  }

  function base(): Base | null {
    const found = get(BASE)
    return isBase(found) ? found : null
  }

  return {
    write(snapshot) {
      try {
        put(own, snapshot)
      } catch {
        // A full disk must not end the process.
      }
    },
    readAll() {
      const names = readdirSync(folder).filter(file => file.endsWith(ENDING))
      const read = names
        .map(file => file.slice(0, -ENDING.length))
        .filter(name => name !== BASE)
        .map(name => ({ name, snapshot: get(name) }))
      // Last: what has been folded since the names were listed is in it, and is not counted a second time.
      const ended = base()
      const living = read.filter(({ name, snapshot }) => snapshot !== null && !ended?.names.includes(name))
      return [...(ended === null ? [] : [ended.snapshot]), ...living.map(({ snapshot }) => snapshot)]
    },
    fold(name, sum) {
      const ended = get(name)
      if (ended === null) return
      const before = base()
      const names = [...(before?.names ?? []), name].slice(-REMEMBERED_MAX)
      try {
        put(BASE, { snapshot: sum(before?.snapshot ?? null, ended), names })
        unlinkSync(path(name))
      } catch {
        // Its own file still says it.
      }
    },
  }
}

function isBase(value: unknown): value is Base {
  return typeof value === 'object' && value !== null && 'snapshot' in value && 'names' in value
}
