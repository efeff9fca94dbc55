import { tooLarge } from '../body.ts'
import type { Middleware } from '../exchange.ts'

/** Refuses a body whose `content-length` is above `service.max_body`. A body without that header is counted while it is
 * read, in `body.ts`. */
export function bodyLimit(): Middleware {
  return function bodyLimit(c, next) {
    const { request, edge } = c.env
    const length = request.headers.get('content-length')
    if (length !== null && Number(length) > edge.bodyBytesMax) throw tooLarge(edge.bodyBytesMax)
    return next()
  }
}
