import type { ListedModel } from './servers.ts'

/** What a server said that it offers, and when, in epoch milliseconds. */
export interface ModelList {
  readonly at: number
  readonly models: readonly ListedModel[]
}

/** Shares what servers offer among several processes. What cannot be read is not there. */
export interface ListStore {
  /** @param name Of the server, the same in every process. */
  get(name: string): Promise<ModelList | null>
  /** Never fails; nobody has to wait for it. */
  set(name: string, list: ModelList): void
}
