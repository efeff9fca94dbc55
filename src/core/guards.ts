/** How far the time of a signed request may be from the gateway's clock, either way, in milliseconds. */
export const SIGNATURE_TOLERANCE_MS = 5 * 60_000

/** Remembers signatures, so that each is good once. */
export interface Replays {
  /** Whether a signature is new; from now on it is not.
   *
   * @param timestamp Epoch milliseconds, as it was signed. */
  take(owner: string, signature: string, timestamp: number): boolean | Promise<boolean>
}

/** Counts credentials that were refused, by the address that sent them. An address may fail so often at once, and then
 * again as often in each minute; an IPv6 address counts with its /64. */
export interface Failures {
  /** Whether certainly nobody has to wait, so that nobody need be asked for. */
  quiet(): boolean
  /** Notes that an address sent a credential that is none; waits for nothing. */
  note(address: string): void
  /** Until an address may try another credential, in milliseconds; 0 when it may now. */
  waitMs(address: string): number | Promise<number>
}

/** How the count is set. */
export interface FailureSettings {
  /** 0 = nobody ever waits. */
  readonly perMinute: () => number
}

/** What the failures of an address are counted in, in milliseconds. */
export const FAILURE_PERIOD_MS = 60_000
