import { formatProblem } from './problems.ts'
import type { Leaf, MapTree, Tree } from './tree.ts'

export type Pending = readonly [key: string, waitsFor: string]

/** Keys that are read and checked but do nothing yet, and what they wait for. `*` stands for any name or number.
 * Whoever builds a feature deletes its line. */
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

/** Warns of what an operator has set that does nothing yet: one line for each section of each file.
 *
 * A key that is merely switched off asks for nothing, so it is not told of. */
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
