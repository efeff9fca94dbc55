import type { ServerState } from './states.ts'

/** A server was given a call for a model: when it does not have that in memory, it will load it. */
export function expectLoad(server: ServerState, model: string): void {
  if (server.loaded !== null && !server.loaded.has(model)) server.loading = model
}

/** A server has answered with a model, so that it is no longer loading it.
 *
 * @returns Whether it had to load it. Until the server is asked, the others are taken to have made room. */
export function noteLoaded(server: ServerState, model: string): boolean {
  if (server.loading === model) server.loading = null
  if (server.loaded === null || server.loaded.has(model)) return false
  server.loaded.clear()
  server.loaded.add(model)
  return true
}

/** A call for a model has failed, so that it is not known to be loaded. */
export function forgetLoad(server: ServerState, model: string): void {
  if (server.loading === model) server.loading = null
}
