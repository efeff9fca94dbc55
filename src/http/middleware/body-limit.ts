import { tooLarge } from '../body.ts'
import type { Middleware } from '../exchange.ts'

/** Refuses a body that says itself that it is too large; what does not say is counted while it is read. */
export function bodyLimit(): Middleware {
  return function bodyLimit(c, next) {
    const { request, edge } = c.env
    const length = request.headers.get('content-length')
    if (length !== null && Number(length) > edge.bodyBytesMax) throw tooLarge(edge.bodyBytesMax)
    return next()
  }
}
