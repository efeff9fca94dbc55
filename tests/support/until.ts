const LOOK_MS = 50

/** Resolves when something is the case.
 *
 * @param isSo Anything but `true` says what is still missing.
 * @throws Error with that when it is not so in time. */
export async function until(what: string, withinMs: number, isSo: () => unknown): Promise<void> {
  const end = performance.now() + withinMs
  for (let so = await isSo(); so !== true; so = await isSo()) {
    if (performance.now() > end) throw new Error(`in vain: ${what}: ${JSON.stringify(so)}`)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
}
