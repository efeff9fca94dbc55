/** Creates a queue that runs at most `atOnce` tasks at the same time; the next one starts when one has ended, with or
 * without an error.
 *
 * @returns Runs a task in its turn, and settles as the task does. */
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
