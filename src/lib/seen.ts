/** Remembers which names have been seen, at least the last `max`, and uses only as much memory as needed.
 *
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
