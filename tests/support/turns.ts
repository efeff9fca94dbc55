/** Begins to count the turns that others have in the event loop.
 *
 * @returns Ends it, and tells how many there were. */
export function countTurns(): () => number {
  let turns = 0
  let waiting = setImmediate(function turn() {
    turns++
    waiting = setImmediate(turn)
  })
  return () => {
    clearImmediate(waiting)
    return turns
  }
}
