/** Signals that mean nothing to this process, and would end it: whoever rotates logs sends SIGUSR1 out of habit. */
export function ignore(...signals: readonly NodeJS.Signals[]): void {
  for (const signal of signals) process.on(signal, () => {})
}
