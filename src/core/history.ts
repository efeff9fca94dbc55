import type { RequestRecord } from './record.ts'

/** A request that is remembered, as it was when it ended or as it stands now. */
export interface Remembered {
  readonly record: RequestRecord
  readonly running: boolean
}

/** Remembers the last requests, so that somebody can ask what became of one. */
export interface History {
  /** Takes note of a request that has come; its record goes on changing. */
  begin(record: RequestRecord): void
  /** Keeps a request that is over. */
  keep(record: RequestRecord): void
  /** Lets go of a request that is over without keeping it. */
  drop(id: string): void
  find(id: string): Remembered | null
}
