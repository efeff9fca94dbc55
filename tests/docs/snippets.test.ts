import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { loadConfig } from '#config/load.ts'
import { formatProblem } from '#config/problems.ts'
import { operations } from '#http/docs/operations.ts'
import { type LiveGateway, startLiveGateway } from '#tests/support/live-gateway.ts'
import type { Outcome } from '#tests/support/output.ts'
import { EXAMPLE_CONFIG, readSnippets, runModule, runShell } from './snippets.ts'

const KINDS = [
  ...['bash', 'bash run', 'bash tried', 'js run', 'json', 'nginx tried', 'promql', 'python', 'text', 'yaml config'],
  'yaml tried',
]
/** Guides whose tried blocks are run by a test of their own. */
const TRIED = ['backup.md', 'databases.md', 'newcomers-hour.md', 'proxy.md']
const SNIPPET_MS = 30_000
/** An error as the whole answer, or as an event of a stream. */
const ERROR_ANSWER = /^(?:data: )?\{"error":/m
const snippets = readSnippets()
const samples = [...operations].flatMap(([id, { samples: all }]) =>
  all.map(({ lang, source }) => ({ name: `${id} in ${lang}`, lang, source })),
)

test('every snippet says what it is', () => {
  expect(snippets.length).toBeGreaterThan(20)
  for (const { name, info } of snippets) expect(KINDS, name).toContain(info)
})

test('every block that is said to be tried is', () => {
  const guides = snippets.filter(({ info }) => info.endsWith(' tried')).map(({ name }) => name.split(':')[0])

  expect([...new Set(guides)].sort()).toEqual(TRIED)
})

describe('configurations load', () => {
  for (const { name, code } of snippets.filter(({ info }) => info === 'yaml config')) {
    test(name, async () => {
      const loaded = await loadConfig({ files: ['gateway.yaml'], env: {}, readFile: async () => code })

      // A guide may name files that are not here.
      expect(loaded.warnings).toEqual(loaded.unreadable.map(formatProblem))
    })
  }
})

test('what an emergency asks of the configuration loads, with the model that it is about', async () => {
  const guide = await Bun.file(new URL('../../src/http/docs/guides/upkeep.md', import.meta.url)).text()
  const rows = guide.match(/^\| (?:one model costs too much|all callers must wait) .*$/gm) ?? []
  const model = 'models: { chat: { endpoint: "http://127.0.0.1:8080/v1" } }'

  for (const row of rows) {
    const [, change = 'none'] = /`(\w+: \{[^`]+\})`/.exec(row) ?? []
    const loaded = await loadConfig({ files: ['f'], env: {}, readFile: async () => `${change}\n${model}` })

    expect(loaded.warnings, row).toEqual([])
  }
  expect(rows.length).toBe(2)
})

describe('examples run against a live gateway', () => {
  let gateway: LiveGateway

  beforeAll(async () => {
    gateway = await startLiveGateway(EXAMPLE_CONFIG)
  }, SNIPPET_MS)
  afterAll(() => gateway.stop())

  for (const { name, info, code } of snippets) {
    if (info === 'bash run') test(name, async () => succeeds(await runShell(code, gateway.url)), SNIPPET_MS)
    if (info === 'js run') test(name, async () => succeeds(await runModule(code, gateway.url)), SNIPPET_MS)
  }
  for (const { name, lang, source } of samples) {
    if (lang === 'bash') test(name, async () => succeeds(await runShell(source, gateway.url)), SNIPPET_MS)
    if (lang === 'javascript') test(name, async () => succeeds(await runModule(source, gateway.url)), SNIPPET_MS)
  }
})

function succeeds({ status, output, errors }: Outcome): void {
  expect(errors).toBe('')
  expect(output.trim()).not.toBe('')
  expect(output).not.toMatch(ERROR_ANSWER)
  expect(status).toBe(0)
}
