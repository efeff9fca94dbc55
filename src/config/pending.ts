import { formatProblem } from './problems.ts'
import type { Leaf, MapTree, Tree } from './tree.ts'

export type Pending = readonly [key: string, waitsFor: string]

/** Keys that are validated but have no effect yet, and the feature they wait for. `*` matches any name or index. Delete the
 * line of a key when its feature is built. */
const pending: readonly Pending[] = [
  ['service.max_connections', 'the count of connections'],
  ['service.secret', 'signed tokens'],
  ['service.secret_file', 'signed tokens'],
  ['cache.semantic', 'the semantic cache'],
  ['vectors.*', 'the vector store'],
]

interface Group {
  readonly first: Leaf
  readonly section: string
  readonly keys: Set<string>
  readonly waitsFor: Set<string>
}

/** Makes warnings for keys that are set but have no effect yet: one line for each section of each file.
 *
 * There is no warning for a key that is only switched off. */
export function pendingWarnings(tree: MapTree, table: readonly Pending[] = pending): string[] {
  const patterns = table.map(([key, waitsFor]) => ({ segments: key.split('.'), waitsFor }))
  const groups = new Map<string, Group>()
  for (const { path, leaf } of leaves(tree, [])) {
    const match = isOff(leaf) ? undefined : patterns.find(({ segments }) => matches(segments, path))
    if (!match) continue
    const [section = ''] = path
    const id = `${leaf.at.file} ${section}`
    const group = groups.get(id) ?? { first: leaf, section, keys: new Set(), waitsFor: new Set() }
    groups.set(id, group)
    group.keys.add(leaf.at.name ?? nameOf(path.slice(1, match.segments.length)))
    group.waitsFor.add(match.waitsFor)
  }
  return [...groups.values()].map(describe)
}

function describe({ first, section, keys, waitsFor }: Group): string {
  const { file, line, column, name } = first.keyAt
  const list = [...keys].join(', ')
  const path = name === undefined ? `${section}.${list}` : list
  return formatProblem({ file, line, column, path, message: `no effect yet, waits for ${[...waitsFor].join(', ')}` })
}

function* leaves(tree: Tree, path: readonly string[]): Generator<{ path: readonly string[]; leaf: Leaf }> {
  if (tree.kind === 'leaf') yield { path, leaf: tree }
  else if (tree.kind === 'list')
    for (const [index, item] of tree.items.entries()) yield* leaves(item, [...path, `${index}`])
  else if (!isSwitchedOff(tree)) for (const [key, value] of tree.entries) yield* leaves(value, [...path, key])
}

function isSwitchedOff(tree: MapTree): boolean {
  const enabled = tree.entries.get('enabled')
  return enabled?.kind === 'leaf' && isNo(enabled.value)
}

function isOff({ value }: Leaf): boolean {
  return value == null || isNo(value) || Number(value) === 0
}

function isNo(value: Leaf['value']): boolean {
  return value === false || (typeof value === 'string' && /^(false|no|off)$/i.test(value))
}

function matches(segments: readonly string[], path: readonly string[]): boolean {
  return (
    segments.length <= path.length && segments.every((segment, index) => segment === '*' || segment === path[index])
  )
}

function nameOf(path: readonly string[]): string {
  return path.map(segment => (/^\d+$/.test(segment) ? '*' : segment)).join('.')
}
