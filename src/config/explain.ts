import { z } from 'zod'
import { didYouMean } from '#lib/closest.ts'
import type { Problem } from './problems.ts'
import { find, type Path, problemAt, type Tree } from './tree.ts'

const names: Readonly<Record<string, string>> = {
  object: 'a map of keys',
  record: 'a map of names',
  array: 'a list',
  tuple: 'a list of two',
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
}

const secretKeys = new Set(
  'api_key api_keys key keys admin_keys secret secrets signing_secret credentials proxy redis.url database.url deliver deliver.url'.split(
    ' ',
  ),
)
/** Maps whose values are all secrets. */
const secretMaps = new Set(['secrets', 'credentials'])

/** What people call by another name, without its punctuation: servers by their programs, strategies by other balancers. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  openai_compatible:
    'vllm sglang llamacpp llamaserver lmstudio localai tgi litellm openrouter azure azureopenai groq mistral together xai'.split(
      ' ',
    ),
  anthropic: ['claude'],
  gemini: ['google', 'googleai'],
  least_busy: ['leastconn', 'leastconnections', 'leastloaded', 'leastrequest', 'leastrequests'],
  latency: ['fastest', 'leasttime'],
  cost: ['cheapest'],
  affinity: ['iphash', 'consistenthash', 'sticky'],
}

/** What people call a key by another name, without its punctuation. */
const otherKeys: Readonly<Record<string, readonly string[]>> = {
  algorithm: ['strategy', 'policy'],
  base_url: ['address', 'apibase'],
  concurrent_requests: ['maxconcurrent', 'maxparallelrequests'],
  database: ['db', 'postgres', 'sqlite'],
  first_token: ['ttft'],
  kind: ['provider', 'type'],
  limits: ['ratelimit', 'ratelimiting'],
  load_balancer: ['routing'],
  requests_per_minute: ['rpm'],
  tokens_per_minute: ['tpm'],
}

/** Where the settings belong that people write to a model and its `endpoint`. */
const elsewhere: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ['api_key', 'api_keys', 'api_key_file', 'base_url', 'headers', 'kind', 'proxy', 'tls'].map(key => [
      key,
      'belongs to a server: describe it under servers, and name it in targets instead of endpoint',
    ]),
  ),
  model: 'belongs to a target: write targets instead of endpoint',
  price: 'belongs to a target: write targets instead of endpoint',
}

/** Writes the messages of schema errors for people; passed to zod as its error map. */
export function wordIssue(issue: z.core.$ZodRawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return issue.input === undefined ? 'is required' : `expected ${names[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      return `expected one of ${issue.values.map(String).join(', ')}`
    case 'too_small':
      return issue.origin === 'string' ? 'must not be empty' : atLeast(issue)
    case 'too_big':
      return `expected ${countable(issue.origin)} of at most ${issue.maximum}`
    case 'unrecognized_keys':
      // Later the issue no longer says which keys are allowed.
      return issue.inst instanceof z.ZodObject ? Object.keys(issue.inst.shape).join(' ') : ''
    default:
      return 'is not valid'
  }
}

/** Turns zod issues into problems with their position: a file and line, an environment variable, or a flag. */
export function toProblems(issues: readonly z.core.$ZodIssue[], tree: Tree): Problem[] {
  return issues.flatMap(issue => {
    if (issue.code === 'unrecognized_keys') return unknownKeys(issue, tree)
    if (issue.code === 'invalid_key') {
      const message = issue.issues[0]?.message ?? 'is not a valid name'
      return [problemAt(tree, issue.path, message, 'key')]
    }
    return [problemAt(tree, issue.path, complete(issue, tree))]
  })
}

function unknownKeys(issue: z.core.$ZodIssueUnrecognizedKeys, tree: Tree): Problem[] {
  const known = issue.message.split(' ')
  return issue.keys.map(key => {
    return problemAt(tree, [...issue.path, key], unknownKey(key, known, issue.path), 'key')
  })
}

function unknownKey(key: string, known: readonly string[], within: Path): string {
  if (key === '<<') return 'merge keys are not supported'
  const isOfModel = within.length === 2 && within[0] === 'models'
  if (isOfModel && Object.hasOwn(elsewhere, key)) return `unknown key, it ${elsewhere[key]}`
  return `unknown key${meant(key, known, otherKeys)}`
}

function complete(issue: z.core.$ZodIssue, tree: Tree): string {
  const node = find(tree, issue.path)
  if (node?.kind === 'leaf' && node.value === undefined) return `${issue.message}; "${node.written}" gave nothing`
  if (!node || !issue.message.startsWith('expected ')) return issue.message
  const bare = node.kind === 'leaf' && typeof node.value !== 'string' && node.value !== null
  if (issue.message === 'expected text' && bare) return `expected text in quotes${found(node, issue.path)}`
  const hint = issue.code === 'invalid_value' && node.kind === 'leaf' ? suggestion(node.value, issue.values) : ''
  return `${issue.message}${found(node, issue.path)}${hint}`
}

/** Ends a message with the value that was most likely meant, also by the name of a program; with nothing where none is. */
export function suggestion(value: unknown, values: readonly unknown[]): string {
  return typeof value === 'string' ? meant(value, values.map(String), otherNames) : ''
}

function meant(written: string, known: readonly string[], others: Readonly<Record<string, readonly string[]>>): string {
  const bare = written.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  const other = known.find(name => Object.hasOwn(others, name) && others[name]?.includes(bare))
  return other === undefined ? didYouMean(written, known) : `, did you mean "${other}"?`
}

function found(node: Tree, path: Path): string {
  if (node.kind !== 'leaf') return node.kind === 'list' ? ', got a list' : ', got a map'
  if (node.value === null) return ', got nothing'
  if (isSecret(path)) return ''
  // A default may be as secret as what it stands in for.
  if (node.written !== undefined) return `, got what "${node.written.replaceAll(/:-[^}]*/g, ':-…')}" gave`
  if (typeof node.value !== 'string') return `, got ${node.value}`
  // An address with a password is a secret wherever it stands.
  if (/:[^@]*@/.test(node.value)) return ', got an address with a user or password'
  return `, got "${node.value.length > 60 ? `${node.value.slice(0, 60)}…` : node.value}"`
}

function isSecret(path: Path): boolean {
  const keys = path.filter(segment => typeof segment === 'string')
  const [own = '', parent = ''] = keys.toReversed()
  const header = keys[0] === 'servers' && (own === 'headers' || parent === 'headers')
  return header || secretKeys.has(own) || secretKeys.has(`${parent}.${own}`) || secretMaps.has(parent)
}

function atLeast(issue: z.core.$ZodIssueTooSmall | z.core.$ZodRawIssue<z.core.$ZodIssueTooSmall>): string {
  if (issue.inclusive === false) return `expected a number above ${issue.minimum}`
  return `expected ${countable(issue.origin)} of at least ${issue.minimum}`
}

function countable(origin: string | undefined): string {
  if (origin === 'array') return 'a list'
  return origin === 'int' ? 'a whole number' : 'a number'
}
