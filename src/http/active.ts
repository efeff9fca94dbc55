import type { GatewayError } from '#core/errors.ts'
import type { Scope } from '#core/scope.ts'

/** The requests that are under way: what a graceful end waits for. */
export interface Active {
  add(scope: Scope): void
  remove(scope: Scope): void
  /** Ends every request; streams say why in their last event. */
  cancelAll(cause: GatewayError): void
  /** Resolves when none is under way. */
  idle(): Promise<void>
}

/** Creates the list of requests that are under way. */
export function createActive(): Active {
  const scopes = new Set<Scope>()
  let waiting: (() => void)[] = []
  return {
    add: scope => void scopes.add(scope),
    remove(scope) {
      scopes.delete(scope)
      if (scopes.size > 0 || waiting.length === 0) return
      const resolved = waiting
      waiting = []
      for (const resolve of resolved) resolve()
    },
    cancelAll(cause) {
      for (const scope of [...scopes]) scope.cancel(cause)
    },
    idle: () => (scopes.size === 0 ? Promise.resolve() : new Promise(resolve => waiting.push(resolve))),
  }
}
