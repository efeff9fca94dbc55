import { relative } from 'node:path'
import type { BunPlugin } from 'bun'

/** What the gateway reads of its own files, beside its code. */
const PACKED = [
  'src/http/docs/guides/*.md',
  'src/http/docs/guides/figures/*.svg',
  'src/http/docs/site/*',
  'src/stores/redis/*.lua',
  'src/stores/sql/*.sql',
  'node_modules/swagger-ui-dist/package.json',
  'node_modules/swagger-ui-dist/swagger-ui-bundle.js',
  'node_modules/swagger-ui-dist/swagger-ui.css',
]

const NAME = 'packed:files'
/** Where packed files seem to lie. */
const BASE = 'file:///packed/'

/** Packs files into an executable: modules that read files beside themselves read the packed ones. Other modules, which
 * read what an operator has written, keep the file system. */
export function packedFiles(root: string): BunPlugin {
  return {
    name: 'packed-files',
    setup(build) {
      build.onResolve({ filter: /^packed:files$/ }, () => ({ path: NAME, namespace: 'packed' }))
      build.onLoad({ filter: /.*/, namespace: 'packed' }, () => ({ contents: moduleOf(root), loader: 'ts' }))
      build.onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
        const source = await Bun.file(path).text()
        const readsOwn = /import\.meta\.(?:url|resolve)/.test(source)
        return { contents: readsOwn ? redirected(source, relative(root, path)) : source, loader: 'ts' }
      })
    },
  }
}

function redirected(source: string, path: string): string {
  return source
    .replaceAll(/'node:fs(?:\/promises)?'/g, `'${NAME}'`)
    .replaceAll(/import\.meta\.resolve\('([^']+)'\)/g, (_, name) => JSON.stringify(`${BASE}node_modules/${name}`))
    .replaceAll('import.meta.url', JSON.stringify(BASE + path))
}

/** The part of the file system that these modules use, over files that lie in the executable. */
function moduleOf(root: string): string {
  const paths = PACKED.flatMap(pattern => [...new Bun.Glob(pattern).scanSync(root)]).sort()
  const imports = paths.map(
    (path, at) => `import f${at} from ${JSON.stringify(`${root}/${path}`)} with { type: 'file' }`,
  )
  const entries = paths.map((path, at) => `[${JSON.stringify(BASE + path)}, f${at}]`)
  return `
import { readFileSync as read } from 'node:fs'
${imports.join('\n')}

const FILES = new Map<string, string>([${entries.join(', ')}])

export function readFileSync(url: URL, encoding?: BufferEncoding) {
  const path = FILES.get(url.href)
  if (path === undefined) throw new Error(url.href + ' is not packed')
  return read(path, encoding)
}

export async function readFile(url: URL) {
  return readFileSync(url)
}

export function readdirSync(url: URL) {
  return [...FILES.keys()].filter(path => path.startsWith(url.href)).map(path => path.slice(url.href.length))
}
`
}
