import { type FSWatcher, watch } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'

interface WatchedDirectory {
  close(): void
}

export interface WatchDependencies {
  /** Tells of each change in a directory with the name of the file, or null when the system does not say. */
  readonly watchDirectory: (path: string, onChange: (name: string | null) => void) => WatchedDirectory
  /** Calls back later, and gives what calls it off. */
  readonly schedule: (callback: () => void, ms: number) => () => void
  readonly quietMs: number
}

export interface Watcher {
  close(): void
}

const defaults: WatchDependencies = {
  watchDirectory: watchDirectoryOnDisk,
  schedule: (callback, ms) => {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
  // Editors and `kubectl` write, rename and touch in a burst.
  quietMs: 200,
}

/** Tells once when any of the files has changed and a moment has passed.
 *
 * It watches directories, since a watch on a file is lost when an editor replaces the file by a new one. */
export function watchFiles(
  files: readonly string[],
  onChange: () => void,
  dependencies: Partial<WatchDependencies> = {},
): Watcher {
  const { watchDirectory, schedule, quietMs } = { ...defaults, ...dependencies }
  let callOff: (() => void) | null = null
  const changed = () => {
    callOff?.()
    callOff = schedule(() => {
      callOff = null
      onChange()
    }, quietMs)
  }
  const watchers = [...byDirectory(files)].map(([directory, names]) =>
    watchDirectory(directory, name => {
      if (name === null || names.has(name) || isMountedLink(name)) changed()
    }),
  )
  return {
    close() {
      callOff?.()
      for (const watcher of watchers) watcher.close()
    },
  }
}

function byDirectory(files: readonly string[]): Map<string, Set<string>> {
  const directories = new Map<string, Set<string>>()
  for (const file of files) {
    const path = resolve(file)
    const names = directories.get(dirname(path)) ?? new Set()
    directories.set(dirname(path), names.add(basename(path)))
  }
  return directories
}

// Kubernetes swaps the link `..data` and never touches the files that it shows.
function isMountedLink(name: string): boolean {
  return name === '..data'
}

function watchDirectoryOnDisk(path: string, onChange: (name: string | null) => void): WatchedDirectory {
  let watcher: FSWatcher | null = null
  try {
    watcher = watch(path, { persistent: false }, (_event, name) => onChange(name))
    // A directory that goes away ends its watch; the configuration in memory stays.
    watcher.on('error', () => watcher?.close())
  } catch {
    return { close: () => undefined }
  }
  return watcher
}
