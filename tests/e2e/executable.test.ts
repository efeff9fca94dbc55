import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readGuides } from '#src/http/docs/guides.ts'
import { VERSION } from '#src/version.ts'
import { runProgram } from '#tests/support/server-process.ts'
import { run } from './child.ts'

setDefaultTimeout(60_000)

const BUILD = resolve(import.meta.dir, '../../scripts/build.ts')
let folder = ''
let program: readonly string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'citadel-build-'))
  const outfile = join(folder, 'citadel')
  await runProgram([process.execPath, BUILD, '--outfile', outfile])
  program = [outfile]
})

afterAll(() => rm(folder, { recursive: true, force: true }))

test('tells its version without any file beside it', async () => {
  await using child = await run(['version'], { program })

  expect(await child.exited).toBe(0)
  expect(child.out()).toContain(`citadel-gateway ${VERSION}`)
})

test('starts in an empty folder, answers as the demo model, and has its documentation with it', async () => {
  const files = { 'gateway.yaml': 'gateway: { discover: false, demo: true }\n' }
  await using child = await run(['start', '--port', '0', '--config', 'gateway.yaml'], { program, files })
  const [, url = ''] = await child.said(/listens on (https?:\S+)[\s\S]*\n {2}try .*\n/)
  const body = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] })

  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body })
  const pages = await Promise.all(
    ['/docs', ...readGuides().map(({ slug }) => `/docs/${slug}`), '/openapi.json', '/schema.json'].map(async path => ({
      path,
      status: (await fetch(url + path)).status,
    })),
  )

  expect(await answer.json()).toMatchObject({ object: 'chat.completion', model: 'citadel-demo' })
  expect(pages.filter(({ status }) => status !== 200)).toEqual([])
  const swagger = ['swagger-ui.css', 'swagger-ui-bundle.js'].map(name => `/docs/assets/${name}`)
  const assets = [...(await assetsIn(`${url}/docs/reference`)), ...(await assetsIn(`${url}/docs/limits`)), ...swagger]
  expect(assets.length).toBeGreaterThan(4)
  expect(assets).toContain('/docs/assets/limits.svg')
  for (const asset of assets) expect((await fetch(url + asset)).status).toBe(200)
})

test('makes its database in an empty folder', async () => {
  const files = { 'gateway.yaml': 'database: { url: "sqlite://./here.db" }\n' }
  await using child = await run(['migrate', '--config', 'gateway.yaml'], { program, files })

  expect(await child.exited).toBe(0)
  expect(child.out()).toMatch(/^001 {2}applied$/m)
  expect(await Bun.file(join(child.folder, 'here.db')).exists()).toBe(true)
})

test('takes no settings from a folder that it happens to be started in', async () => {
  const files = {
    '.env': 'API_GATEWAY_PORT=1\n',
    'bunfig.toml': 'preload = ["./evil.ts"]\n',
    'evil.ts': 'process.exit(9)\n',
    'gateway.yaml': 'gateway: { discover: false, demo: true }\n',
  }
  await using child = await run(['check', '--config', 'gateway.yaml'], { program, files })

  expect(await child.exited).toBe(0)
  expect(child.out() + child.err()).not.toContain('API_GATEWAY_PORT')
})

/** What a page loads from its own origin. */
async function assetsIn(page: string): Promise<string[]> {
  const html = await (await fetch(page)).text()
  return [...html.matchAll(/(?:src|href)="(\/docs\/assets\/[^"]+)"/g)].map(([, path = '']) => path)
}
