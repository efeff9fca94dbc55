/** Somebody's money in one period: a key's or a tenant's. */
export interface Account {
  /** `key:tenant/id` or `tenant:name`. */
  readonly id: string
  readonly tenant: string
  /** `2027-01-31` or `2027-01`. */
  readonly period: string
  /** The most that may be spent in the period, in billionths of a US dollar. */
  readonly cap: number
  /** Epoch milliseconds from which another period begins. */
  readonly resetsAt: number
}

/** When a hold ends that nobody needs any more: long ago, by whichever clock it is looked at. */
export const OVER = 0

/** Money that is set aside for a request until it is known what that costs. */
export interface Hold {
  /** The id of the request. A hold that is there already grows by `nano`. */
  readonly request: string
  /** In the order of their ids. */
  readonly accounts: readonly Account[]
  readonly nano: number
  /** Epoch milliseconds after which nobody will settle it any more. */
  readonly expiresAt: number
}

/** How much of an account may be used with a hold. To give back is never refused, though calls that cost more than they
 * held may have used more than the cap by then. */
export function capOf({ nano, expiresAt }: Hold, { cap }: Account): number {
  return nano === 0 && expiresAt === OVER ? Number.MAX_SAFE_INTEGER : cap
}

/** What a hold came to. */
export interface HoldVerdict {
  /** The account that has too little left; `null` when all gave. */
  readonly refused: Account | null
  /** How much of each account is spent or held now, as far as is known; in the order of the accounts. */
  readonly used: readonly number[]
}

/** One request as it is kept: its log line, its usage and its entry in the ledger. Times are epoch milliseconds, tokens
 * are disjoint classes but for reasoning, money is in billionths of a US dollar, and flags are 0 or 1. */
export type LedgerRow = {
  readonly id: string
  /** The request that an attempt belongs to; `null` for the request itself. */
  readonly parent: string | null
  readonly tenant: string
  readonly key_id: string
  readonly user_id: string | null
  readonly session_id: string | null
  readonly address: string
  readonly day: string
  readonly started_at: number
  readonly ended_at: number
  readonly method: string
  readonly route: string
  readonly status: number
  readonly code: string | null
  readonly outcome: string
  readonly stream: number
  readonly cache: string | null
  readonly model: string | null
  readonly server: string | null
  readonly upstream_model: string | null
  readonly attempts: number
  readonly attempt_list: string
  readonly recovered: number
  readonly queue_ms: number | null
  readonly first_token_ms: number | null
  readonly input_tokens: number
  readonly cache_read_tokens: number
  readonly cache_write_tokens: number
  readonly output_tokens: number
  readonly reasoning_tokens: number
  readonly estimated: number
  readonly saved_tokens: number
  readonly cost_nano: number | null
  readonly extra_cost_nano: number | null
  readonly saved_nano: number | null
  /** The row of the audit log that seals it. */
  readonly batch: string | null
}

/** One row of the audit log. */
export interface AuditRow {
  readonly id: string
  readonly tenant: string
  /** Epoch milliseconds. */
  readonly at: number
  readonly kind: AuditKind
  readonly action: string
  /** Who did it: the id of a key. */
  readonly actor: string | null
  readonly address: string | null
  readonly request_id: string | null
  readonly subject: string | null
  readonly outcome: string
  readonly code: string | null
  /** JSON. */
  readonly detail: string
  /** The start of a process, the place in its chain, and the hash of the row before. */
  readonly chain: string
  readonly seq: number
  readonly prev: string
  readonly hash: string
}

export const AUDIT_KINDS = [
  'authentication',
  'limit',
  'error',
  'health',
  'administration',
  'payload',
  'batch',
  'checkpoint',
] as const
export type AuditKind = (typeof AUDIT_KINDS)[number]

/** What is written at once. */
export interface LedgerBatch {
  readonly requests: readonly LedgerRow[]
  readonly audit: readonly AuditRow[]
}

/** What is spent of accounts, as one ledger says. */
export interface Balance {
  /** Which ledger says so: several may charge the same account. */
  readonly ledger: string
  /** Grows whenever the ledger charges anybody. */
  readonly version: number
  readonly spent: readonly Spent[]
}

/** All that a ledger has charged to an account, in billionths of a US dollar. */
export interface Spent extends Pick<Account, 'id' | 'period'> {
  readonly nano: number
}

/** Keeps money and rows. Whatever is written twice counts once. */
export interface LedgerStore {
  /** Sets money aside in all accounts or in none; at once where they are in the memory of this process.
   *
   * @throws Error when the store is away. */
  hold(hold: Hold): HoldVerdict | Promise<HoldVerdict>
  /** Keeps rows: each one settles the hold of its request, if there is one, and is charged to whoever has a budget.
   *
   * @returns The accounts that it has charged; `null` where nobody follows them.
   * @throws Error when the store is away; then nothing of the batch was written, or everything. */
  write(batch: LedgerBatch): Balance | null | Promise<Balance | null>
  /** Gives back what nobody has settled in time.
   *
   * @returns How many holds there were. */
  expire(now: number): number | Promise<number>
  /** How many holds there are. */
  holds(): number | Promise<number>
}

/** A ledger that others may follow, so that they decide for it. */
export interface Ledger extends LedgerStore {
  /** Opens accounts, where they are not open, and says what is spent of them.
   *
   * @throws Error when the ledger is away. */
  readonly balance: (accounts: readonly Account[]) => Balance | Promise<Balance>
}

/** What has become of holds. */
export interface Followed {
  /** Epoch milliseconds: holds whose time is over then are given back. */
  readonly now: number
  /** What ledgers say is spent; what is older than what is known says nothing. */
  readonly spent: readonly (Spent & Pick<Balance, 'ledger' | 'version'>)[]
  /** Requests that are over, and what they cost: that much stays held until their rows are written. */
  readonly over: readonly { readonly request: string; readonly nano: number }[]
  /** Requests whose rows are written: what they cost is spent and held no more. */
  readonly written: readonly string[]
}

/** Holds that several processes share, over what ledgers say is spent. */
export interface SharedHolds {
  /** Whether it answers as far as is known. */
  available(): boolean
  /** Sets money aside in all accounts or in none.
   *
   * @param ledger The one that the caller writes to.
   * @returns `null` where it is not known what that ledger has charged to one of the accounts.
   * @throws Error when it is away. */
  take(hold: Hold, ledger: string): Promise<HoldVerdict | null>
  /** Takes over what has happened.
   *
   * @returns How many holds were given back because their time was over.
   * @throws Error when it is away; the same may be told again. */
  follow(followed: Followed): Promise<number>
  /** How many holds there are. */
  holds(): Promise<number>
}

/** What waits until it can be written elsewhere, in its order, each on a line; the lines outlive the process where there
 * is a folder for them. */
export interface Spool<T> {
  /** Adds a line; `false` when there is no room left.
   *
   * @param said What the line says; `null` for one that is meant only for whoever finds it when this process has died. */
  append(line: string, said: T | null): boolean
  /** What the first lines that wait say. */
  peek(max: number): Promise<readonly T[]>
  /** Forgets the first ones. */
  drop(count: number): Promise<void>
  /** @returns Those that still wait and end with this process, because no disk took them. */
  close(): Promise<readonly T[]>
}

/** The money of a key and of a tenant. */
export function keyAccount(tenant: string, key: string): string {
  return `key:${tenant}/${key}`
}

export function tenantAccount(tenant: string): string {
  return `tenant:${tenant}`
}
