import type { Environment } from './env.ts'

/** What became of one text: its value, the variables that gave it, and what was wrong. */
export interface Interpolated {
  readonly value: string
  /** Whether any part came from a variable, so that the value must not be shown. */
  readonly fromEnvironment: boolean
  readonly errors: readonly string[]
}

const reference = /\$(?:\$|\{([^}]*)\})/g
/** As a shell writes it: taken as it stands, the name would be the key that callers send. */
const bareReference = /(?:^|[\s:/@]|:-)\$[A-Z_][A-Z0-9_]*(?=$|[\s:/@}])/
const expression = /^([A-Za-z_]\w*)(?::([-?])([\s\S]*))?$/

/** Replaces `${VAR}`, `${VAR:-default}` and `${VAR:?message}`; `$$` stands for one `$`, in a default too, and `$VAR` is a mistake.
 *
 * An empty variable counts as absent for `:-` and `:?`, as in a shell. Values are not looked into again. */
export function interpolate(text: string, env: Environment): Interpolated {
  const errors: string[] = []
  let fromEnvironment = false
  const value = text.replaceAll(reference, (_, inner: string | undefined) => {
    if (inner === undefined) return '$'
    fromEnvironment = true
    const result = resolve(inner, env)
    if ('error' in result) errors.push(result.error)
    return 'error' in result ? '' : result.value
  })
  if (bareReference.test(text)) errors.push(`a variable is written with braces: \${VAR}; write "$$" for a dollar sign`)
  if (/\$\{[^}]*$/.test(text)) errors.push('a reference has no closing "}"; write "$$" for a dollar sign')
  return { value, fromEnvironment, errors }
}

function resolve(inner: string, env: Environment): { value: string } | { error: string } {
  const match = expression.exec(inner)
  // A nested reference would end at its own brace and leave half of the outer one behind.
  if (!match || inner.includes('${'))
    return { error: `cannot read a reference; write \${VAR}, \${VAR:-default} or \${VAR:?message}` }
  const [, name = '', operator, rest = ''] = match
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (operator === undefined) {
    if (value !== undefined) return { value }
    return { error: `the variable ${name} is not set; write \${${name}:-} if it may be absent` }
  }
  if (value !== undefined && value !== '') return { value }
  if (operator === '-') return { value: rest.replaceAll('$$', () => '$') }
  return { error: rest.trim() === '' ? `the variable ${name} is not set` : `${name}: ${rest.trim()}` }
}
