import { type Caller, DEFAULT_TENANT, hasRole, type Role } from '#core/caller.ts'
import type { LimitSet } from '#core/limiter.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { LIMITS, ROLES } from '#wire/keys.ts'

/** Which claims say what a caller is. A name with dots is looked for whole, then as a path. */
export interface ClaimNames {
  readonly roles_claim: string
  /** The role that each value of the claim stands for; without any, the values are names of roles. */
  readonly roles: Readonly<Record<string, Exclude<Role, 'anonymous'>>>
  /** `null` = everybody belongs to the default tenant. */
  readonly tenant_claim: string | null
  /** `null` = everybody may use every model. */
  readonly models_claim: string | null
  readonly limits_claim: string
}

/** Thrown when the claims of a token are missing or not valid. */
export class ClaimError extends Error {}

/** What OpenID Connect allows for `sub`, and as much for a tenant: visible characters that can stand in a log. */
const NAME = /^[\x21-\x7e]{1,255}$/
const OWN_NAMES: ClaimNames['roles'] = Object.fromEntries(ROLES.map(role => [role, role]))
const VALUES_MAX = 1000
const LIMIT_NAMES: ReadonlySet<string> = new Set<keyof LimitSet>([...LIMITS, 'burst'])

/** Makes the caller that verified claims describe.
 *
 * @param leeway Seconds after `exp` for which the token is still good.
 * @throws ClaimError when a claim is missing or is not what it must be. */
export function callerOf(claims: JsonObject, names: ClaimNames, leeway: number): Caller {
  const { iss, sub, exp } = claims
  if (typeof sub !== 'string' || !NAME.test(sub)) throw new ClaimError('sub')
  if (typeof exp !== 'number') throw new ClaimError('exp')
  return {
    // The issuer is part of it, so that it never equals the name of a key or a subject of another issuer.
    id: `${iss}#${sub}`,
    name: sub,
    tenant: names.tenant_claim === null ? DEFAULT_TENANT : tenantOf(readClaim(claims, names.tenant_claim)),
    role: roleOf(readClaim(claims, names.roles_claim), names.roles),
    models: names.models_claim === null ? null : new Set(wordsOf(readClaim(claims, names.models_claim))),
    limits: limitsOf(readClaim(claims, names.limits_claim)),
    expiresAt: (exp + leeway) * 1000,
  }
}

/** The highest of the roles. A caller without a known role may only call models. */
function roleOf(value: JsonValue, meanings: ClaimNames['roles']): Role {
  const known = Object.keys(meanings).length > 0 ? meanings : OWN_NAMES
  const roles = wordsOf(value).flatMap(word => (Object.hasOwn(known, word) ? (known[word] ?? []) : []))
  return roles.reduce<Role>((highest, role) => (hasRole(role, highest) ? role : highest), 'caller')
}

function tenantOf(value: JsonValue): string {
  if (typeof value !== 'string' || !NAME.test(value)) throw new ClaimError('tenant')
  return value
}

/** Reads a list of texts, or one text with spaces between the words as `scope` has them. */
function wordsOf(value: JsonValue): readonly string[] {
  if (value === undefined || value === null) return []
  const words = typeof value === 'string' ? value.split(/\s+/) : value
  if (!Array.isArray(words) || words.length > VALUES_MAX || !words.every(word => typeof word === 'string'))
    throw new ClaimError('a list of texts')
  return words
}

/** Reads limits by the names that the configuration has for them; other names are ignored. */
function limitsOf(value: JsonValue): LimitSet | null {
  if (value === undefined || value === null) return null
  if (!isObject(value)) throw new ClaimError('limits')
  const limits: Record<string, number> = {}
  for (const [name, limit] of Object.entries(value)) {
    if (typeof limit !== 'number' || !Number.isInteger(limit) || limit <= 0) throw new ClaimError(`limits.${name}`)
    if (LIMIT_NAMES.has(name)) limits[name] = limit
  }
  return Object.keys(limits).length === 0 ? null : limits
}

function readClaim(claims: JsonObject, name: string): JsonValue {
  if (Object.hasOwn(claims, name)) return claims[name]
  return name
    .split('.')
    .reduce<JsonValue>((value, key) => (isObject(value) && Object.hasOwn(value, key) ? value[key] : undefined), claims)
}
