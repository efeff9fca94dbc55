import { type Caller, hasRole } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import { type AuthMode, CALLS_ONLY, UNDECIDED, UNRECOGNISED } from './keys.ts'
import { missing, refused, unavailable } from './refusals.ts'

/** Who may use a route. An `observer` may be anybody where no key is needed, and has to be a viewer where keys are. */
export type Need = 'anyone' | 'caller' | 'observer' | 'viewer' | 'operator' | 'admin'

/** Decides whether a caller may use a route.
 *
 * @returns `null`, or the refusal: 401 without a valid key where one is needed, 403 when its role is not enough, 503
 * while keys cannot be checked. */
export function authorize(caller: Caller, need: Need, mode: AuthMode): GatewayError | null {
  if (need === 'anyone') return null
  if (need === 'caller') return caller.role === 'anonymous' && mode === 'required' ? missing() : null
  if (need === 'observer' && mode === 'none') return null
  const role = need === 'observer' ? 'viewer' : need
  if (hasRole(caller.role, role)) return null
  if (caller === UNRECOGNISED) return refused()
  if (caller === UNDECIDED) return unavailable()
  if (caller.role === 'anonymous' && caller !== CALLS_ONLY) return missing()
  return new GatewayError('permission_denied', `This needs a key with the role ${role}.`)
}
