import type { Sql } from './sql.ts'

/** The connections to one database, of which the rest of the gateway knows nothing. */
export interface Connections {
  read<T>(run: (sql: Sql) => Promise<T>, late: Late): Promise<T>
  write<T>(run: (sql: Sql) => Promise<T>, late: Late): Promise<T>
  /** @throws Error when it is a database that does not take every text. */
  check(sql: Sql): Promise<void>
  /** Holds off every other migration until the end of a transaction. */
  lock(sql: Sql): Promise<void>
  hasTable(sql: Sql, name: string): Promise<boolean>
  /** Whether an error says that others have to be opened: the tables are gone, because somebody has emptied the
   * database, or it takes no changes any more, because its address leads elsewhere now. */
  isOver(thrown: unknown): boolean
  /** @param graceMs How long what is under way may still take. */
  close(graceMs?: number): Promise<void>
}

/** Whether the time of a call is over, so that it must not begin any more. */
export type Late = () => boolean

/** Of what may take as long as it takes. */
export const NEVER: Late = () => false
