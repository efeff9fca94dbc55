/** Waits until the event loop has run once, so that long work which blocks it lets requests go on in between. */
export function othersTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
