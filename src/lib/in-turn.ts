/** Creates a line in which so many things are done at a time, each once one before it is over, however that ended.
 *
 * @returns Runs what it is given in its turn, and settles as that does. */
export function createInTurn(atOnce = 1): <T>(run: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0

  function end(): void {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }

  return async run => {
    if (running === atOnce) await new Promise<void>(resolve => waiting.push(resolve))
    else running++
    try {
      return await run()
    } finally {
      end()
    }
  }
}
