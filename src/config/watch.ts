import { stat } from 'node:fs/promises'

export interface WatchDependencies {
  /** What a file looks like now: another text after every change. */
  readonly look: (path: string) => Promise<string>
  /** Calls back later, and gives what calls it off. */
  readonly schedule: (callback: () => void, ms: number) => () => void
}

export interface Watcher {
  close(): void
}

/** A change is told of at the second look that finds nothing new, so within a second. */
const LOOK_EVERY_MS = 300

const defaults: WatchDependencies = {
  look: lookOnDisk,
  schedule: (callback, ms) => {
    const timer = setTimeout(callback, ms)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Tells once when any of the files has changed and a moment has passed without another change: editors and `kubectl`
 * write, rename and touch in a burst.
 *
 * It looks at the files: the system's notices do not tell of links that lead elsewhere, of a file that is mounted
 * alone, of a directory that is made anew, or of another machine that writes over the network.
 * @param files Which ones; asked at each look. */
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
    // What was not watched before may have changed since it was read.
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

/** Links are followed. A file that cannot be looked at looks like the reason. */
function lookOnDisk(path: string): Promise<string> {
  return stat(path, { bigint: true }).then(
    ({ dev, ino, size, mtimeNs, ctimeNs }) => [dev, ino, size, mtimeNs, ctimeNs].join(' '),
    (error: unknown) => String(error),
  )
}
