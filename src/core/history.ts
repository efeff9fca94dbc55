import type { RequestRecord } from './record.ts'

/** Remembers the last requests that are over, so that somebody can ask what became of one. */
export interface History {
  keep(record: RequestRecord): void
  find(id: string): RequestRecord | null
}
