import { toBoolean } from './schema/scalars.ts'
import { find, type ListTree, type Path, type Tree } from './tree.ts'

/** The entries of a map; none of anything else. */
export function entriesOf(tree: Tree | undefined): [string, Tree][] {
  return tree?.kind === 'map' ? [...tree.entries] : []
}

/** The items of a list; none of anything else. */
export function itemsOf(tree: Tree | undefined): ListTree['items'] {
  return tree?.kind === 'list' ? tree.items : []
}

/** The texts in a list. */
export function textsOf(tree: Tree | undefined): string[] {
  return itemsOf(tree)
    .map(textOf)
    .filter(text => text !== null)
}

/** The text below a key; `null` where there is none. */
export function textAt(tree: Tree, key: string): string | null {
  return textOf(find(tree, [key]))
}

/** A text; `null` for anything else. */
export function textOf(tree: Tree | undefined): string | null {
  return tree?.kind === 'leaf' && typeof tree.value === 'string' ? tree.value : null
}

/** The value at a path, or the tree that stands there. */
export function plainAt(tree: Tree, path: Path): unknown {
  const node = find(tree, path)
  return node?.kind === 'leaf' ? node.value : node
}

/** Whether the value at a path is this boolean, in any spelling of it (`true`, `yes`, `on` …). False for both when there is
 * no value. */
export function isSetTo(tree: Tree, path: Path, truth: boolean): boolean {
  return toBoolean(plainAt(tree, path)) === truth
}
