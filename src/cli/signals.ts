/** Ignores a signal that has no meaning here but would end the process: tools that rotate logs send SIGUSR1 by
 * habit. */
export function ignore(...signals: readonly NodeJS.Signals[]): void {
  for (const signal of signals) process.on(signal, () => {})
}
