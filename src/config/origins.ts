import type { Tree } from './tree.ts'

/** Where each value was written, by its path with dots: a place in a file, a variable, or a flag. */
export type Origins = ReadonlyMap<string, string>

/** Collects where the values of a configuration come from; what is not among them is a default. */
export function originsOf(tree: Tree): Origins {
  const origins = new Map<string, string>()
  collect(tree, '', origins)
  return origins
}

function collect(tree: Tree, path: string, origins: Map<string, string>): void {
  const below = (key: string | number) => (path === '' ? `${key}` : `${path}.${key}`)
  if (tree.kind === 'map') for (const [key, value] of tree.entries) collect(value, below(key), origins)
  else if (tree.kind === 'list') for (const [index, item] of tree.items.entries()) collect(item, below(index), origins)
  else if (tree.value !== undefined) {
    const { file, line, column, name } = tree.at
    origins.set(path, name ?? (line > 0 ? `${file}:${line}:${column}` : file))
  }
}
