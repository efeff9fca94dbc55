import { dirname, isAbsolute, join } from 'node:path'
import type { Problem } from './problems.ts'
import { find, type Leaf, LOST, leafOf, type MapTree, place, problemAt, type Tree } from './tree.ts'

export type ReadFile = (path: string) => Promise<string>

/** The `code` of the error for a file that was not empty before and is now. */
export const EMPTIED = 'EMPTIED'

/** The secrets that may be given by a file: the path of the map, and the key in it. */
const holders: readonly (readonly [readonly string[], string])[] = [
  [['service'], 'secret'],
  [['servers', '*'], 'api_key'],
  [['auth', 'keys', '*'], 'key'],
  [['auth', 'keys', '*'], 'signing_secret'],
  [['auth', 'jwt'], 'secret'],
  [['redis'], 'url'],
  [['database'], 'url'],
  [['webhooks', 'deliver', '*'], 'secret'],
]

interface Filled {
  readonly tree: MapTree
  readonly problems: readonly Problem[]
  readonly files: readonly string[]
}

interface Found {
  readonly path: readonly string[]
  readonly key: string
  readonly from: Leaf
}

/** Reads the secrets that are given by files into the tree. Relative paths start at the configuration file. */
export async function readSecrets(tree: MapTree, readFile: ReadFile): Promise<Filled> {
  const problems: Problem[] = []
  const files: string[] = []
  let filled: Tree = tree
  for (const { path, key, from } of holders.flatMap(([pattern, key]) => secretsUnder(tree, pattern, key))) {
    const fileKey = [...path, `${key}_file`]
    if (isGiven(tree, [...path, key])) {
      problems.push(problemAt(tree, fileKey, `give ${key} or ${key}_file, not both`, 'key'))
      continue
    }
    const file = isAbsolute(`${from.value}`) ? `${from.value}` : join(dirname(from.at.file), `${from.value}`)
    files.push(file)
    const secret = await readFile(file).then(
      text => text.trim(),
      (error: unknown) => new Error(readFailure(error)),
    )
    if (typeof secret !== 'string') problems.push(problemAt(tree, fileKey, `${file} ${secret.message}`))
    else if (secret === '') problems.push(problemAt(tree, fileKey, `${file} is empty`))
    else if (secret.includes(LOST)) problems.push(problemAt(tree, fileKey, `${file} is not in UTF-8`))
    else filled = replace(filled, [...path, key], { ...from, value: secret, written: file })
  }
  return { tree: filled.kind === 'map' ? filled : tree, problems, files }
}

/** Removes from a lower layer the secrets that a higher one gives in the other form (`key` or `key_file`), so that only one
 * of the two remains after merging. */
export function withoutReplaced(under: MapTree, over: MapTree): MapTree {
  return holders.reduce((tree, [path, key]) => {
    const forms = [key, `${key}_file`].map(form => [...path, form])
    const [other, ...both] = forms.filter(form => !isGiven(over, form))
    if (other === undefined || both.length > 0 || !isGiven(tree, other)) return tree
    return place(tree, other, leafOf(undefined, over.at))
  }, under)
}

function isGiven(tree: MapTree, path: readonly string[]): boolean {
  const node = find(tree, path)
  return node?.kind === 'leaf' ? node.value != null : node !== undefined
}

/** Says why a file could not be read. */
export function readFailure(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : null
  if (code === 'ENOENT') return 'does not exist'
  if (code === 'EACCES' || code === 'EPERM') return 'may not be read by this user'
  if (code === 'EISDIR') return 'is a directory'
  if (code === EMPTIED) return 'is empty, and was not before'
  return 'cannot be read'
}

function secretsUnder(tree: MapTree, pattern: readonly string[], key: string): Found[] {
  return expand(tree, pattern).flatMap(path => {
    const from = find(tree, [...path, `${key}_file`])
    return from?.kind === 'leaf' && typeof from.value === 'string' ? [{ path, key, from }] : []
  })
}

function expand(tree: Tree, pattern: readonly string[]): string[][] {
  return pattern.reduce<string[][]>(
    (paths, segment) =>
      paths.flatMap(path => {
        if (segment !== '*') return [[...path, segment]]
        const list = find(tree, path)
        return list?.kind === 'list' ? list.items.map((_, index) => [...path, `${index}`]) : []
      }),
    [[]],
  )
}

/** Makes the paths of files that are read later start at the configuration file that names them. */
export function resolvePaths(tree: MapTree): MapTree {
  const holders = [['service', 'tls'], ...expand(tree, ['servers', '*', 'tls'])]
  const files = holders.flatMap(holder => ['cert_file', 'key_file', 'ca_file'].map(key => [...holder, key]))
  return files.reduce<MapTree>((whole, path) => {
    const leaf = find(whole, path)
    // An empty path would resolve to the folder of the configuration.
    if (leaf?.kind !== 'leaf' || typeof leaf.value !== 'string' || leaf.value === '' || isAbsolute(leaf.value))
      return whole
    const resolved = replace(whole, path, { ...leaf, value: join(dirname(leaf.at.file), leaf.value) })
    return resolved.kind === 'map' ? resolved : whole
  }, tree)
}

function replace(tree: Tree, path: readonly string[], leaf: Leaf): Tree {
  const [segment, ...rest] = path
  if (segment === undefined) return leaf
  if (tree.kind === 'list')
    return {
      ...tree,
      items: tree.items.map((item, index) => (`${index}` === segment ? replace(item, rest, leaf) : item)),
    }
  if (tree.kind !== 'map') return tree
  const child = tree.entries.get(segment)
  const inner = rest.length === 0 ? leaf : child && replace(child, rest, leaf)
  return inner ? { ...tree, entries: new Map(tree.entries).set(segment, inner) } : tree
}
