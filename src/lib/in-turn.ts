/** Creates a line in which one thing is done at a time, each once the one before is over, however that ended.
 *
 * @returns Runs what it is given in its turn, and settles as that does. */
export function createInTurn(): <T>(run: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return run => {
    const mine = last.then(run)
    last = mine.catch(() => {})
    return mine
  }
}
