import type { GatewayContext, Handler, Middleware } from './exchange.ts'

/** What `next()` gives to a middleware: the sign to go on. */
const GO_ON: Promise<void> = Promise.resolve()
const next = () => GO_ON

/** Composes middleware and a handler once, when a route is registered.
 *
 * Hono would compose them anew for each request. In return a middleware here either answers, or returns what `next()`
 * returned; what it adds to the answer it puts into the exchange's headers beforehand. */
export function chain(steps: readonly Middleware[], handler: Handler): Handler {
  return (c: GatewayContext) => {
    for (const step of steps) {
      const result = step(c, next)
      if (result !== GO_ON) return result as Promise<Response>
    }
    return handler(c)
  }
}
