/** Remembers which names have been seen, the last ones at least; takes only as much memory as it has to.
 *
 * @param max How many are remembered.
 * @returns Whether a name is seen for the first time. */
export function createSeen(max: number): (name: string) => boolean {
  const names = new Set<string>()
  return name => {
    if (names.has(name)) return false
    names.add(name)
    if (names.size > max) for (const oldest of names) return names.delete(oldest)
    return true
  }
}
