import type { GatewayError } from '#core/errors.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Scope } from '#core/scope.ts'

interface Request {
  readonly record: RequestRecord
  readonly scope: Scope
}

/** The requests that are under way: what a graceful end waits for. */
export interface Active {
  add(request: Request): void
  remove(request: Request): void
  /** The record of a request, as it stands. */
  find(id: string): RequestRecord | null
  /** Ends every request; streams say why in their last event. */
  cancelAll(cause: GatewayError): void
  /** Resolves when none is under way. */
  idle(): Promise<void>
}

/** Creates the list of requests that are under way. */
export function createActive(): Active {
  const requests = new Set<Request>()
  let waiting: (() => void)[] = []
  return {
    add: request => void requests.add(request),
    remove(request) {
      requests.delete(request)
      if (requests.size > 0 || waiting.length === 0) return
      const resolved = waiting
      waiting = []
      for (const resolve of resolved) resolve()
    },
    find(id) {
      for (const { record } of requests) if (record.id === id) return record
      return null
    },
    cancelAll(cause) {
      for (const { scope } of [...requests]) scope.cancel(cause)
    },
    idle: () => (requests.size === 0 ? Promise.resolve() : new Promise(resolve => waiting.push(resolve))),
  }
}
