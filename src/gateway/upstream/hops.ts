import { GatewayError } from '#core/errors.ts'

/** The role under which a gateway registers itself as a server with another gateway. */
export const GATEWAY_ROLE = 'gateway'
/** The most gateways that a request may have come through. */
const HOPS_MAX = 3
const ENTRY = /\b1\.1 (citadel-[\w-]+)/g

/** Adds this gateway to the `via` header of a request (RFC 9110 §7.6.3) that goes on to another gateway.
 *
 * @param id Begins with `citadel-`.
 * @throws GatewayError `loop_detected` where the request has been here before, or has come through three gateways;
 * another server may still answer it. */
export function viaNext(id: string, via: string | undefined): string {
  const passed = [...(via ?? '').matchAll(ENTRY)].map(([, name]) => name)
  if (passed.includes(id) || passed.length >= HOPS_MAX) {
    throw new GatewayError('loop_detected', 'The request has come through this gateway, or too many, already.', {
      retryable: true,
      unsent: true,
    })
  }
  return via === undefined ? `1.1 ${id}` : `${via}, 1.1 ${id}`
}
