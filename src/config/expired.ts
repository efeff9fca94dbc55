import { formatProblem } from './problems.ts'
import type { Config } from './schema.ts'
import { problemAt, type Tree } from './tree.ts'

/** Makes a warning for each key that has expired: it is refused like one that nobody knows, so that nothing else tells why. */
export function expiredWarnings({ auth }: Config, tree: Tree, now: number): string[] {
  return auth.keys.flatMap(({ name, expires }, index) => {
    if (expires === null || expires > now) return []
    const message = `has passed, so that the key of "${name}" is refused`
    return [formatProblem(problemAt(tree, ['auth', 'keys', index, 'expires'], message))]
  })
}
