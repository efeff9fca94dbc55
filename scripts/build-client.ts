import { rm } from 'node:fs/promises'

/** Builds the client as a package of its own: one ES module without dependencies, and its types.
 *
 *     bun scripts/build-client.ts [FOLDER]      default: dist/client */

const ROOT = new URL('..', import.meta.url).pathname
const folder = process.argv[2] ?? `${ROOT}dist/client`

await rm(folder, { recursive: true, force: true })
await Bun.build({ entrypoints: [`${ROOT}src/client/index.ts`], outdir: folder, target: 'browser', format: 'esm' })

const { name, version, license } = await Bun.file(`${ROOT}package.json`).json()
const exports = { './client': { types: './index.d.ts', default: './index.js' } }
const manifest = { name, version, license, type: 'module', exports }
await Bun.write(`${folder}/package.json`, `${JSON.stringify(manifest, null, 2)}\n`)

const types = Bun.spawn([`${ROOT}node_modules/.bin/tsc`, '-p', `${ROOT}src/client`, '--outDir', folder], {
  stdout: 'inherit',
  stderr: 'inherit',
})
process.exitCode = await types.exited
