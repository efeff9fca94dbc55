/** What a statement gives: its rows, and how many it has changed where it gives none. */
export type Rows<Row> = Row[] & { readonly count: number }

/** A tagged template that runs one statement; the only way values get into one. One that stands in another is a part of
 * that, and no statement. */
export interface Sql {
  <Row>(strings: TemplateStringsArray, ...values: unknown[]): Promise<Rows<Row>>
  /** Rows to insert: their columns and what is in them. */
  <Row extends { readonly [column in keyof Row]: unknown }>(
    rows: readonly Row[],
    ...columns: readonly (keyof Row)[]
  ): object
  /** A list to look something up in. */
  (list: readonly string[]): object
  /** A text that is a part as it is; statements, where it is awaited. */
  unsafe(text: string): Promise<unknown>
}

/** A database of either kind, opened by its first use. */
export interface Database {
  /** Runs statements that change nothing. While there is no SQLite file they see an empty database, and none is made.
   *
   * @param withinMs How long it may take; the database's own timeout when absent.
   * @throws Error when the database is away or late. */
  read<T>(run: (sql: Sql) => Promise<T>, withinMs?: number): Promise<T>
  /** Runs statements in one transaction, which is taken back when one of them fails. On SQLite writes wait for each
   * other, so that `run` awaits its statements and nothing else.
   *
   * @throws Error when the database is away or late; what was late may have happened, so rows need ids of our own. */
  write<T>(run: (sql: Sql) => Promise<T>): Promise<T>
  close(): Promise<void>
}

/** What one call came to. */
export interface DatabaseCall {
  readonly operation: 'read' | 'write'
  readonly ok: boolean
  readonly ms: number
}

/** How a database is opened. */
export interface SqlOptions {
  readonly place: DatabasePlace
  readonly timeoutMs: number
  /** Connections at once; SQLite has always two. */
  readonly pool: number
  readonly onCall?: (call: DatabaseCall) => void
}

/** Where a database is: a file (`null` = in memory), or a Postgres. */
export type DatabasePlace =
  | { readonly kind: 'sqlite'; readonly file: string | null }
  | { readonly kind: 'postgres'; readonly url: string }

/** Prepares a database. Nothing is opened, made or connected, and not even the code for it is loaded, before the first
 * call. */
export function openSql(options: SqlOptions): Database {
  let loading: Promise<Database> | null = null
  const client = () => {
    loading ??= import('./sql-client.ts').then(({ createSqlClient }) => createSqlClient(options))
    return loading
  }
  return {
    read: async (run, withinMs) => (await client()).read(run, withinMs),
    write: async run => (await client()).write(run),
    close: async () => (await loading)?.close(),
  }
}
