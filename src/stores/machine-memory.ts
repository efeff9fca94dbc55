/** Collects all garbage at once. The runtime would let it grow as far as the machine has memory. */
export function collectGarbage(): void {
  Bun.gc(true)
}
