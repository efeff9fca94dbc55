import type { GatewayContext, Handler, Middleware } from './exchange.ts'

/** Composes middleware and a handler once, when a route is registered.
 *
 * Hono would compose them anew for each request. In return a middleware here either answers, or returns what `next()`
 * returns: what it adds to the answer it puts into the exchange's headers beforehand. */
export function chain(steps: readonly Middleware[], handler: Handler): Handler {
  const run = (c: GatewayContext, index: number): Promise<Response> => {
    const step = steps[index]
    if (step === undefined) return Promise.resolve(handler(c))
    return step(c, (() => run(c, index + 1)) as unknown as () => Promise<void>) as Promise<Response>
  }
  return c => run(c, 0)
}
