import type { SQL } from 'bun'

/** A tagged template that runs one statement; the only way values get into one. */
export type Sql = SQL

/** The connections to one database, of which the rest of the gateway knows nothing. */
export interface Connections {
  read<T>(run: (sql: Sql) => Promise<T>, late: Late): Promise<T>
  write<T>(run: (sql: Sql) => Promise<T>, late: Late): Promise<T>
  /** Holds off every other migration until the end of a transaction. */
  lock(sql: Sql): Promise<void>
  hasTable(sql: Sql, name: string): Promise<boolean>
  close(): Promise<void>
}

/** Whether the time of a call is over, so that it must not begin any more. */
export type Late = () => boolean

/** Where a database is: a file (`null` = in memory), or a Postgres. */
export type DatabasePlace =
  | { readonly kind: 'sqlite'; readonly file: string | null }
  | { readonly kind: 'postgres'; readonly url: string }
