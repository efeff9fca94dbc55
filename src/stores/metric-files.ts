import { readdirSync, readFileSync, renameSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ENDING = '.metrics'
/** What the workers that have ended had counted. */
const BASE = 'base'
/** Ended workers whose files may still be being read while they are in the base already. */
const REMEMBERED_MAX = 256

interface Base {
  readonly snapshot: unknown
  /** Whose numbers are in it. */
  readonly names: readonly string[]
}

/** The numbers of every worker, each in a file of its own, and those of the ones that have ended in one more. */
export interface MetricFiles {
  /** Writes those of this worker; where they cannot be written now, they are the next time. */
  write(snapshot: unknown): void
  /** Those of all, the ended ones' included. */
  readAll(): readonly unknown[]
  /** Adds those of a worker that has ended to the ended ones'; where that cannot be written, they stay as they are. Only
   * the supervisor does.
   *
   * @param sum Puts two together; `before` is `null` the first time. */
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
