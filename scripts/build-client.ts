import { rm } from 'node:fs/promises'

/** Builds the client as a package takes it along: one ES module without dependencies, and its types.
 *
 *     bun scripts/build-client.ts [FOLDER]      default: dist/client */

const ROOT = new URL('..', import.meta.url).pathname
const folder = process.argv[2] ?? `${ROOT}dist/client`

await rm(folder, { recursive: true, force: true })
await Bun.build({ entrypoints: [`${ROOT}src/client/index.ts`], outdir: folder, target: 'browser', format: 'esm' })

const types = Bun.spawn([`${ROOT}node_modules/.bin/tsc`, '-p', `${ROOT}src/client`, '--outDir', folder], {
  stdout: 'inherit',
  stderr: 'inherit',
})
process.exitCode = await types.exited
