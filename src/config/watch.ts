import { stat } from 'node:fs/promises'

export interface WatchDependencies {
  /** A text that is different after every change of the file. */
  readonly look: (path: string) => Promise<string>
  /** Calls back after a delay; the returned function cancels it. */
  readonly schedule: (callback: () => void, ms: number) => () => void
}

export interface Watcher {
  close(): void
}

/** How often files are looked at, in milliseconds. A change is reported at the next look that finds no further one: within a
 * second of the last change. */
const LOOK_EVERY_MS = 300

const defaults: WatchDependencies = {
  look: lookOnDisk,
  schedule: (callback, ms) => {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Watches files, and reports a change once after no further change has followed for a moment: editors and `kubectl`
 * write, rename and touch in bursts.
 *
 * It polls, because the system's notifications miss symbolic links that are changed, single mounted files, directories
 * that are replaced, and writes by another machine over the network.
 *
 * @param files The files to watch, asked for at each look. */
export function watchFiles(
  files: () => readonly string[],
  onChange: () => void,
  dependencies: Partial<WatchDependencies> = {},
): Watcher {
  const { look, schedule } = { ...defaults, ...dependencies }
  let known: ReadonlyMap<string, string> | null = null
  let isChanging = false
  let isClosed = false
  let callOff: () => void = () => {}

  async function turn(): Promise<void> {
    const paths = [...new Set(files())]
    const looks = await Promise.all(paths.map(look))
    if (isClosed) return
    const seen = new Map(paths.map((path, index) => [path, looks[index] ?? '']))
    // A file that is new in the list may have changed between being read and being watched.
    const before = known ?? seen
    const hasChanged = paths.some(path => before.get(path) !== seen.get(path))
    known = seen
    if (isChanging && !hasChanged) onChange()
    isChanging = hasChanged
    callOff = schedule(() => void turn(), LOOK_EVERY_MS)
  }

  void turn()
  return {
    close() {
      isClosed = true
      callOff()
    },
  }
}

/** Reads the state of a file, following links. For a file that cannot be read, the error is its state. */
function lookOnDisk(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(
    ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(' '),
    (error: unknown) => String(error),
  )
}
