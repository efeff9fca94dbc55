import type { Middleware } from '../exchange.ts'

/** Puts the headers on every answer that keep browsers from guessing. */
export function securityHeaders(): Middleware {
  return function securityHeaders(c, next) {
    c.env.headers['x-content-type-options'] = 'nosniff'
    return next()
  }
}
