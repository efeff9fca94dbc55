/** Resident memory of this process, and the heap in use, in bytes. */
export const residentBytes = lastKnown(() => process.memoryUsage.rss())
export const heapBytes = lastKnown(() => process.memoryUsage().heapUsed)

/** The runtime reads a file for it, which it cannot open while the process has no descriptor left: just then nothing must
 * fail that only measures. */
function lastKnown(read: () => number): () => number {
  let last = 0
  return () => {
    try {
      last = read()
    } catch {
      // What was known holds until it can be read again.
    }
    return last
  }
}
