import { readFile } from 'node:fs/promises'
import type { Problem } from './problems.ts'
import { itemsOf, textOf } from './read-tree.ts'
import { readFailure } from './secrets.ts'
import { find, type MapTree, type Path, problemAt } from './tree.ts'

/** A file that a connection needs. */
interface Named {
  readonly path: Path
  readonly file: string
  /** The parameter that names it, where that is only a part of the value. */
  readonly parameter?: string
}

/** The parameters with which the address of a Postgres names files. */
const PARAMETERS = ['sslrootcert', 'sslcert', 'sslkey']

/** Finds files of certificates, for the way to servers and to the database, that cannot be read. Whatever needs one is
 * never reached, but everything else works, so that this ends no start. */
export async function unreadableFiles(tree: MapTree): Promise<readonly Problem[]> {
  const found = [...filesOfServers(tree), ...filesOfDatabase(tree)].map(async ({ path, file, parameter }) => {
    try {
      await readFile(file)
      return []
    } catch (thrown) {
      const name = parameter === undefined ? file : `${parameter} ${file}`
      return [problemAt(tree, path, `${name} ${readFailure(thrown)}`)]
    }
  })
  return (await Promise.all(found)).flat()
}

function filesOfServers(tree: MapTree): readonly Named[] {
  return itemsOf(find(tree, ['servers'])).flatMap((server, index) =>
    ['ca_file', 'cert_file', 'key_file'].flatMap(key => {
      const file = textOf(find(server, ['tls', key]))
      return file === null ? [] : [{ path: ['servers', index, 'tls', key], file }]
    }),
  )
}

function filesOfDatabase(tree: MapTree): readonly Named[] {
  const url = textOf(find(tree, ['database', 'url']))
  const parameters = url === null ? undefined : URL.parse(url)?.searchParams
  return PARAMETERS.flatMap(parameter => {
    const file = parameters?.get(parameter)
    return file ? [{ path: ['database', 'url'], file, parameter }] : []
  })
}
