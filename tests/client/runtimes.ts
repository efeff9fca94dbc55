import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as Library from '#src/client/index.ts'
import { launchBrowser } from '#tests/support/chromium.ts'
import type { CaseName, cases } from './cases.ts'

/** A place where the built client runs. */
export interface Runtime {
  run(name: CaseName, url: string): Promise<unknown>
  [Symbol.asyncDispose](): Promise<void>
}

/** The client and the cases as files that any runtime imports. */
export interface Built {
  readonly folder: string
  /** An application into which what the script wrote is installed, as it is. */
  readonly application: string
  [Symbol.asyncDispose](): Promise<void>
}

const ROOT = new URL('../../', import.meta.url).pathname

/** Builds the package's client with its own script, and the cases beside it. */
export async function build(): Promise<Built> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-client-'))
  const build = Bun.spawn([process.execPath, join(ROOT, 'scripts/build-client.ts'), folder], { stderr: 'pipe' })
  if ((await build.exited) !== 0) throw new Error(await new Response(build.stderr).text())
  const application = await mkdtemp(join(tmpdir(), 'citadel-application-'))
  await cp(folder, join(application, 'node_modules/citadel-gateway'), { recursive: true })
  await Bun.build({ entrypoints: [join(import.meta.dir, 'cases.ts')], outdir: folder, target: 'browser' })
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }')
  await writeFile(join(folder, 'serve.js'), SERVE)
  return {
    folder,
    application,
    async [Symbol.asyncDispose]() {
      for (const each of [folder, application]) await rm(each, { recursive: true, force: true })
    },
  }
}

/** Answers each line on standard input, `[case, url]`, with a line on standard output. */
const SERVE = `
import { createInterface } from 'node:readline'
import { cases } from './cases.js'
import * as library from './index.js'
for await (const line of createInterface({ input: process.stdin })) {
  const [name, url] = JSON.parse(line)
  const answer = await cases[name]({ library, url }).catch(error => ({ broke: String(error?.stack) }))
  console.log(JSON.stringify(answer ?? null))
}`

/** The runtimes by name. */
export const RUNTIMES: Readonly<Record<string, (built: Built) => Promise<Runtime>>> = {
  Bun: inBun,
  'Node 20': inNode,
  Chromium: inBrowser,
}

async function inBun({ folder }: Built): Promise<Runtime> {
  const library: typeof Library = await import(join(folder, 'index.js'))
  const built: { readonly cases: typeof cases } = await import(join(folder, 'cases.js'))
  return {
    run: async (name, url) => JSON.parse(JSON.stringify((await built.cases[name]({ library, url })) ?? null)),
    [Symbol.asyncDispose]: async () => {},
  }
}

async function inNode({ folder }: Built): Promise<Runtime> {
  const child = Bun.spawn(['node', join(folder, 'serve.js')], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit' })
  const lines = linesOf(child.stdout)
  return {
    async run(name, url) {
      child.stdin.write(`${JSON.stringify([name, url])}\n`)
      await child.stdin.flush()
      const { value } = await lines.next()
      return JSON.parse(value ?? '"Node has ended"')
    },
    async [Symbol.asyncDispose]() {
      child.kill()
      await child.exited
    },
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true })
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n')) {
      yield text.slice(0, at)
      text = text.slice(at + 1)
    }
  }
  return undefined
}

async function inBrowser({ folder }: Built): Promise<Runtime> {
  const application = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const { pathname } = new URL(request.url)
      if (pathname.endsWith('.js')) return new Response(Bun.file(join(folder, pathname)))
      if (pathname !== '/') return new Response(null, { status: 204 })
      return new Response('<!doctype html><title>Application</title>', { headers: { 'content-type': 'text/html' } })
    },
  })
  const browser = await launchBrowser()
  const page = await browser.newPage()
  await page.goto(`http://localhost:${application.port}/`)
  return {
    run: (name, url) =>
      page.evaluate(`Promise.all([import('/index.js'), import('/cases.js')]).then(([library, { cases }]) =>
        cases[${JSON.stringify(name)}]({ library, url: ${JSON.stringify(url)} }))`),
    async [Symbol.asyncDispose]() {
      await browser.close()
      await application.stop(true)
    },
  }
}
