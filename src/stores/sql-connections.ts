import type { Sql } from './sql.ts'

/** The connections to one database, SQLite or Postgres. Used by the client only: stores see a `Database`. */
export interface Connections {
  read<T>(run: (sql: Sql) => Promise<T>, late: Late): Promise<T>
  write<T>(run: (sql: Sql) => Promise<T>, late: Late): Promise<T>
  /** @throws Error when the encoding of the database cannot store every text. */
  check(sql: Sql): Promise<void>
  /** Blocks all other migrations until the end of the transaction. */
  lock(sql: Sql): Promise<void>
  hasTable(sql: Sql, name: string): Promise<boolean>
  /** Whether an error means that new connections are needed: the tables or the file are gone, or the database is
   * read-only now, because its address leads to another server or it has become a replica. */
  isOver(thrown: unknown): boolean
  /** @param graceMs How long calls that are under way may still take, in milliseconds. */
  close(graceMs?: number): Promise<void>
}

/** Whether the caller has stopped waiting, so that the call must not begin any more. */
export type Late = () => boolean

/** For calls without a time limit. */
export const NEVER: Late = () => false
