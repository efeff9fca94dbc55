import type { Access } from '../edge.ts'
import type { Registry } from './registry.ts'

type Requirement = Record<string, string[]>

const SCHEMES = {
  bearer: {
    type: 'http' as const,
    scheme: 'bearer',
    description:
      '`authorization: Bearer KEY`, as every OpenAI client sends it; or a token of an identity provider in place of the key.',
  },
  'x-api-key': { type: 'apiKey' as const, in: 'header' as const, name: 'x-api-key', description: '`x-api-key: KEY`.' },
  'api-key': { type: 'apiKey' as const, in: 'header' as const, name: 'api-key', description: '`api-key: KEY`.' },
}

const KEYED: readonly Requirement[] = Object.keys(SCHEMES).map(name => ({ [name]: [] }))

/** Makes the three ways of sending a key known to a document. */
export function registerSecurity(registry: Registry): void {
  for (const [name, scheme] of Object.entries(SCHEMES)) registry.registerComponent('securitySchemes', name, scheme)
}

/** Which keys a role needs: none, one unless authentication is off, or always one. */
export function securityOf(role: Access): Requirement[] {
  if (role === 'anyone' || role === 'signed') return []
  const optional = role === 'caller' || role === 'observer'
  return optional ? [...KEYED, {}] : [...KEYED]
}

/** Says in words who may call an operation. */
export function describeRole(role: Access): string {
  if (role === 'anyone') return 'Open to anyone; no key is read.'
  if (role === 'signed') return 'Needs the secret in `webhooks.secrets` for its kind; no key is read.'
  if (role === 'caller') return 'Needs a key unless authentication is off.'
  if (role === 'observer') return 'Needs a key with the role viewer or more unless authentication is off.'
  return `Always needs a key with the role ${role} or more.`
}
