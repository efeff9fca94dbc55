import type { Middleware } from '../exchange.ts'

/** Adds `x-content-type-options: nosniff` to every answer, so that browsers do not guess the content type. */
export function securityHeaders(): Middleware {
  return function securityHeaders(c, next) {
    c.env.headers['x-content-type-options'] = 'nosniff'
    return next()
  }
}
