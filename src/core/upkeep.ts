/** Where a chain of the audit log stands: one of its rows. */
export interface Head {
  readonly chain: string
  readonly seq: number
  readonly hash: string
}

/** What one process does for all. */
export interface UpkeepStore {
  /** Whether `owner` is the one now; it is for so long. */
  lead(owner: string, now: number, forMs: number): Promise<boolean>
  /** Whether it is time to remove what is old: once in so long, whoever asks. */
  isTrimDue(owner: string, now: number, everyMs: number): Promise<boolean>
  /** The last row of each chain; before a time, if one is given. */
  heads(before?: number): Promise<readonly Head[]>
  /** Removes the rows of chains up to those heads, and, from before a time, the requests that are
   * sealed no more and the users and sessions that were seen last.
   *
   * @param month Budgets of earlier months are removed, as `2027-01`. */
  trim(heads: readonly Head[], before: number, month: string): Promise<void>
}
