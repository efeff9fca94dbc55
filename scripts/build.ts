// Builds the gateway as one executable file, with the runtime and all that it reads of its own: `bun run build`, or
// `bun scripts/build.ts --outfile FILE`.
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { packedFiles } from './build/packed-files.ts'

const root = resolve(import.meta.dir, '..')
const { values } = parseArgs({ options: { outfile: { type: 'string', default: join(root, 'dist/citadel') } } })
const outfile = resolve(values.outfile)

const built = await Bun.build({
  entrypoints: [join(root, 'src/cli/main.ts')],
  target: 'bun',
  minify: { whitespace: true, syntax: true },
  plugins: [packedFiles(root)],
  compile: {
    outfile,
    // What lies in the folder of a start is nobody's configuration but for the files that are named.
    autoloadDotenv: false,
    autoloadBunfig: false,
    autoloadTsconfig: false,
    autoloadPackageJson: false,
  },
})
for (const log of built.logs) console.error(String(log))
console.log(`${outfile}: ${Math.round(Bun.file(outfile).size / 1e6)} MB`)
