import type { GatewayContext, Handler, Middleware } from './exchange.ts'

/** What `next()` gives to a middleware: the sign to go on. */
const GO_ON: Promise<void> = Promise.resolve()
const next = () => GO_ON

/** Composes middleware and a handler once, when a route is registered.
 *
 * Hono would compose them anew for each request. In return a middleware here answers, or returns what `next()` returned,
 * or promises either; what it adds to the answer it puts into the exchange's headers beforehand. */
export function chain(steps: readonly Middleware[], handler: Handler): Handler {
  function from(c: GatewayContext, first: number): Response | Promise<Response> {
    for (let at = first; at < steps.length; at++) {
      const result = steps[at]?.(c, next)
      if (result !== undefined && result !== GO_ON) return whenDone(result, c, at + 1)
    }
    return handler(c)
  }

  async function whenDone(result: ReturnType<Middleware>, c: GatewayContext, at: number): Promise<Response> {
    return (await result) ?? from(c, at)
  }

  return c => from(c, 0)
}
