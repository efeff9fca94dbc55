import type { Result, Router } from 'hono/router'
import { TrieRouter } from 'hono/router/trie-router'

/** Creates the router of the gateway: a path without parameters is one look-up in a map; the few others go through
 * Hono's trie. */
export function createRouter<T>(): Router<T> {
  const fixed = new Map<string, Map<string, Result<T>>>()
  const others = new TrieRouter<T>()
  return {
    name: 'fixed-first',
    add(method, path, handler) {
      if (/[:*]/.test(path)) return others.add(method, path, handler)
      const results = fixed.get(path) ?? new Map<string, Result<T>>()
      results.set(method, [[[handler, {}]]])
      fixed.set(path, results)
    },
    match: (method, path) => fixed.get(path)?.get(method) ?? others.match(method, path),
  }
}
