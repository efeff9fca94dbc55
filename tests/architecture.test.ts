import { describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { PROVIDERS } from '#providers/index.ts'

const ROOT = resolve(import.meta.dir, '..')
const SOURCE = join(ROOT, 'src')

/** What each folder of `src` may import besides itself; arrows point down, and parts never know each other. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  lib: [],
  wire: ['lib'],
  core: ['wire', 'lib'],
  config: ['core', 'wire', 'lib'],
  ...Object.fromEntries(
    ['providers', 'policies', 'routing', 'registry', 'access', 'cache', 'events', 'telemetry', 'stores'].map(part => [
      part,
      ['core', 'wire', 'lib'],
    ]),
  ),
  gateway: [
    'providers',
    'policies',
    'routing',
    'registry',
    'access',
    'cache',
    'events',
    'telemetry',
    'stores',
    'config',
    'core',
    'wire',
    'lib',
  ],
  http: ['gateway', 'wire', 'core', 'lib'],
  console: ['gateway', 'wire', 'core', 'lib'],
  client: [],
}

/** What puts the rest together may import all of it; the top level has no folder. */
const BUILDERS: ReadonlySet<string> = new Set(['', 'compose', 'cli'])

/** Where a library or a global of the runtime may be used at all. */
const FENCES: readonly { readonly what: RegExp; readonly name: string; readonly only: RegExp }[] = [
  { name: 'hono', what: /from '(?:hono|@hono\/[^']+)(?:\/[^']*)?'/, only: /^http\// },
  { name: 'ioredis', what: /from 'ioredis'/, only: /^stores\/redis/ },
  { name: 'prom-client', what: /from 'prom-client'/, only: /^telemetry\// },
  { name: 'the SQL client', what: /\bSQL\b.*from 'bun'|from 'bun:sqlite'/, only: /^stores\/sql/ },
  { name: 'Bun', what: /\bBun\.\w/, only: /^(?:server\.ts|cli\/|stores\/|providers\/transport)/ },
]

interface Import {
  readonly file: string
  readonly from: string
  readonly to: string
}

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter(file => file.endsWith('.ts'))
const texts = new Map(files.map(file => [file, readFileSync(join(SOURCE, file), 'utf8')]))

/** Reads the import lines; types too, since a lower layer must not know a higher one even by its types. */
function importsOf(file: string): Import[] {
  const found = (texts.get(file) ?? '').matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)
  return [...found].flatMap(([, target = '']) => {
    const path = target.startsWith('#')
      ? target.slice(1).replace(/^src\//, '')
      : target.startsWith('.')
        ? relative(SOURCE, resolve(SOURCE, dirname(file), target))
        : null
    // Data beside `src/` has no layer.
    return path === null || path.startsWith('..') ? [] : [{ file, from: folderOf(file), to: folderOf(path) }]
  })
}

function folderOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : ''
}

describe('the house', () => {
  test('has only rooms that the plan knows', () => {
    const folders = new Set(files.map(folderOf).filter(folder => !BUILDERS.has(folder)))

    expect([...folders].filter(folder => !(folder in MAY_IMPORT))).toEqual([])
  })

  test('imports point down', () => {
    const wrong = files
      .flatMap(importsOf)
      .filter(({ from, to }) => from !== to && !BUILDERS.has(from) && !MAY_IMPORT[from]?.includes(to))

    expect(wrong).toEqual([])
  })

  test('the client stands alone', () => {
    const wrong = files.flatMap(importsOf).filter(({ from, to }) => (from === 'client') !== (to === 'client'))
    const packages = files.filter(
      file => folderOf(file) === 'client' && /from '[^.]/.test(withoutComments(texts.get(file) ?? '')),
    )

    expect([wrong, packages]).toEqual([[], []])
  })

  test('libraries and the runtime stay behind their fences', () => {
    const outside = FENCES.flatMap(({ name, what, only }) =>
      files
        .filter(file => !only.test(file) && what.test(withoutComments(texts.get(file) ?? '')))
        .map(file => `${name} in ${file}`),
    )

    expect(outside).toEqual([])
  })

  test('no provider is named outside providers and configuration', () => {
    const kinds = new RegExp(`['"\`](?:${[...PROVIDERS.keys()].join('|')})['"\`]`)
    // Examples in the documentation show kinds as operators write them.
    const free = /^(?:providers|config|http\/docs)\//
    const named = files.filter(
      file => !free.test(file) && kinds.test(withoutLabels(withoutComments(texts.get(file) ?? ''))),
    )

    expect(named).toEqual([])
  })

  test('a provider is reached by the registry alone', () => {
    const folders = readdirSync(join(SOURCE, 'providers'), { withFileTypes: true })
    const dialects = folders.filter(entry => entry.isDirectory() && entry.name !== 'transport').map(({ name }) => name)
    const inside = new RegExp(`from '#providers/(?:${dialects.join('|')})/`)
    const reached = files.filter(file => !file.startsWith('providers/') && inside.test(texts.get(file) ?? ''))

    expect(dialects).toEqual(expect.arrayContaining([...PROVIDERS.keys()]))
    // The one has a transport of its own, the others stand in the support matrix.
    expect(reached.sort()).toEqual(['compose/network.ts', 'compose/support.ts'])
  })

  test('the kinds that are built are kinds that a configuration may name', () => {
    for (const kind of PROVIDERS.keys()) expect(texts.get('config/schema/models.ts')).toContain(`'${kind}'`)
  })

  test('the top level holds what it should and nothing else', () => {
    const entries = readdirSync(ROOT).filter(
      entry => !entry.startsWith('.') && !['node_modules', 'coverage', 'dist'].includes(entry),
    )

    expect(entries.sort()).toEqual(
      [
        'CHANGELOG.md',
        'LICENSE',
        'README.md',
        'bun.lock',
        'bunfig.toml',
        'config',
        'package.json',
        'scripts',
        'src',
        'tests',
        'tsconfig.json',
      ].sort(),
    )
  })
})

/** Without the word for each origin of a server, one of which is that of the built-in model. */
function withoutLabels(text: string): string {
  return text.replace(/'built-in': '\w+'/g, '')
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|\s)\/\/.*$/gm, '')
}
