import type { Problem } from './problems.ts'

/** Where a value was written. `name` is the variable or flag when it was not in a file. */
export interface Origin {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly name?: string
}

interface Placed {
  readonly at: Origin
  /** The position of the key, or of the value where there is none. */
  readonly keyAt: Origin
}

export interface Leaf extends Placed {
  readonly kind: 'leaf'
  /** Undefined when it is a reference to an empty variable: it then counts as not set. */
  readonly value: string | number | boolean | null | undefined
  /** What was written, when a variable or another file supplied the value; such a value is never shown. */
  readonly written?: string
}

export interface ListTree extends Placed {
  readonly kind: 'list'
  readonly items: readonly Tree[]
}

export interface MapTree extends Placed {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, Tree>
}

/** A configuration as it was written: values that remember where they came from. */
export type Tree = Leaf | ListTree | MapTree
export type Path = readonly PropertyKey[]
/** Reports a problem at a path. */
export type Complain = (path: Path, message: string, position?: 'key' | 'value') => void

/** What stands for letters that are not in UTF-8: a password that has one would be another password. */
export const LOST = '\ufffd'

const nowhere: Origin = { file: 'config', line: 0, column: 0 }

/** Makes an empty map. */
export function emptyMap(at: Origin = nowhere): MapTree {
  return { kind: 'map', at, keyAt: at, entries: new Map() }
}

/** Merges a later layer over an earlier one: maps are merged, other values replaced, and values that are not set ignored. */
export function merge(under: Tree | undefined, over: Tree): Tree {
  if (under === undefined) return over
  if (over.kind === 'leaf' && (over.value === undefined || (over.value === null && under.kind === 'map'))) return under
  if (under.kind !== 'map' || over.kind !== 'map') return over
  const entries = new Map(under.entries)
  for (const [key, value] of over.entries) entries.set(key, merge(entries.get(key), value))
  return { ...over, entries }
}

/** Returns a copy of a map with the value at a path of keys set. */
export function place(tree: MapTree, path: readonly string[], value: Tree): MapTree {
  const [key, ...rest] = path
  if (key === undefined) return tree
  const child = tree.entries.get(key)
  const inner = rest.length === 0 ? value : place(child?.kind === 'map' ? child : emptyMap(value.at), rest, value)
  return { ...tree, entries: new Map(tree.entries).set(key, inner) }
}

/** Makes a leaf for a value that has no position in a file. */
export function leafOf(value: Leaf['value'], at: Origin): Leaf {
  return { kind: 'leaf', value, at, keyAt: at }
}

/** Turns a plain value into a tree whose parts all have the origin `at` (default: none). */
export function treeOf(value: unknown, at: Origin = nowhere): Tree {
  const placed = { at, keyAt: at }
  if (Array.isArray(value)) return { kind: 'list', ...placed, items: value.map(item => treeOf(item, at)) }
  if (typeof value === 'object' && value !== null)
    return { kind: 'map', ...placed, entries: new Map(Object.entries(value).map(([k, v]) => [k, treeOf(v, at)])) }
  const plain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || value == null
  return { kind: 'leaf', ...placed, value: plain ? value : String(value) }
}

/** Gives the plain value, ready for the schema. */
export function toPlain(tree: Tree): unknown {
  if (tree.kind === 'leaf') return tree.value
  if (tree.kind === 'list') return tree.items.map(toPlain)
  const plain: Record<string, unknown> = {}
  for (const [key, value] of tree.entries)
    if (value.kind !== 'leaf' || value.value !== undefined) plain[key] = toPlain(value)
  return plain
}

/** Finds what stands at a path. */
export function find(tree: Tree | undefined, path: Path): Tree | undefined {
  let current = tree
  for (const segment of path) {
    if (current?.kind === 'map') current = current.entries.get(String(segment))
    else if (current?.kind === 'list') current = current.items[Number(segment)]
    else return undefined
  }
  return current
}

/** Makes a problem at a path; if there is no value, at the nearest enclosing one. */
export function problemAt(tree: Tree, path: Path, message: string, position: 'key' | 'value' = 'value'): Problem {
  const node = find(tree, path)
  const origin = node ? (position === 'key' ? node.keyAt : node.at) : around(tree, path).keyAt
  const { file, line, column, name } = origin
  return { file, line, column, path: name ?? path.map(String).join('.'), message }
}

function around(tree: Tree, path: Path): Tree {
  for (let length = path.length - 1; length > 0; length--) {
    const node = find(tree, path.slice(0, length))
    if (node) return node
  }
  return tree
}
