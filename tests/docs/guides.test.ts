import { describe, expect, test } from 'bun:test'
import { z } from '@hono/zod-openapi'
import { environmentTable } from '#config/env.ts'
import { configJsonSchema } from '#config/json-schema.ts'
import { pendingWarnings } from '#config/pending.ts'
import { settledAtStart } from '#config/reload.ts'
import { emptyMap, treeOf } from '#config/tree.ts'
import { ERRORS } from '#core/errors.ts'
import { readGuides } from '#http/docs/guides.ts'
import { modelCallHeaders } from '#http/docs/operations/model-call.ts'
import { PROVIDERS } from '#providers/index.ts'
import { STRATEGIES } from '#routing/strategies/index.ts'
import { EXIT, EXIT_MEANINGS } from '#src/cli/output.ts'
import { postgresRows, redisRows } from '#tests/dependencies/table.ts'
import { callerRows, serverRows } from '#tests/faults/table.ts'
import { metricsOf } from '#tests/support/metrics.ts'

const guides = new Map(readGuides().map(guide => [guide.slug, guide.markdown]))

/** The rows of the tables below a heading, up to the next one; cells without backticks. */
function rowsBelow(slug: string, heading: string): string[][] {
  const [, after = ''] = `\n${guides.get(slug)}`.split(new RegExp(`\\n#+ ${heading}\\n`))
  const [section = ''] = after.split(/\n#+ /)
  const lines = section.split('\n').filter(line => line.startsWith('| '))
  return lines.slice(1).map(line =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map(cell => cell.trim().replaceAll('`', '')),
  )
}

test('a title is shown as it is written: without quotation marks around it', () => {
  expect(readGuides().filter(({ title, summary }) => /^["']/.test(title) || /^["']/.test(summary))).toEqual([])
})

test('the table of errors has every code with its status', () => {
  const rows = rowsBelow('troubleshooting', 'Error codes').filter(([status]) => /^\d+$/.test(status ?? ''))

  expect(Object.fromEntries(rows.map(([status, code]) => [code, Number(status)]))).toEqual(
    Object.fromEntries(Object.entries(ERRORS).map(([code, { status }]) => [code, status])),
  )
})

test('the table of metrics has every metric with its type', async () => {
  const exposed = (await metricsOf().render()).matchAll(/^# TYPE (\S+) (\S+)$/gm)

  const rows = rowsBelow('observability', 'Metrics').map(([name, type]) => `${name} ${type}`)

  expect(rows.filter(row => !row.startsWith('-')).toSorted()).toEqual(
    [...exposed].map(([, name, type]) => `${name} ${type}`).toSorted(),
  )
})

test('the guide to the configuration has all that only a restart takes over', () => {
  const [, told = ''] = /\nOnly a restart applies (.+?);/.exec(guides.get('configuration') ?? '') ?? []

  const named = [...told.matchAll(/`([^`]+)`/g)].map(([, key = '']) => key)
  expect(named.toSorted()).toEqual([...settledAtStart, 'service.tls'].toSorted())
})

test('the table of strategies has every strategy', () => {
  const names = rowsBelow('routing', 'Strategies').map(([name]) => name ?? '')

  for (const name of STRATEGIES.keys()) expect(names).toContain(name)
})

test('the document has every strategy that a call may wish for', () => {
  const known = z.toJSONSchema(modelCallHeaders.shape['x-citadel-strategy']).enum

  expect(known?.toSorted()).toEqual([...STRATEGIES.keys()].toSorted())
})

test('the guide to routing names every kind of server', () => {
  for (const kind of PROVIDERS.keys()) expect(guides.get('routing')).toContain(`\`${kind}\``)
})

test('the guide to the command has every exit status with its meaning', () => {
  const rows = rowsBelow('commands', 'Exit status').filter(([status]) => /^\d+$/.test(status ?? ''))

  expect(rows).toEqual(
    Object.entries(EXIT_MEANINGS).map(([name, meaning]) => [
      `${Object.entries(EXIT).find(([each]) => each === name)?.[1]}`,
      name,
      meaning,
    ]),
  )
})

describe('the guide to failures', () => {
  const cells = (heading: string) => rowsBelow('failures', heading).filter(([id]) => /^F\d+$/.test(id ?? ''))

  test('has exactly what the matrix of faults expects', () => {
    expect(cells('What a server does')).toEqual(serverRows().map(row => [...row]))
    expect(cells('What a caller does')).toEqual(callerRows().map(row => [...row]))
  })
})

describe('the guide to what happens when a dependency is down', () => {
  const cells = (heading: string) => rowsBelow('dependencies', heading).filter(([name]) => !name?.startsWith('-'))

  test('has exactly what the tests of Redis and Postgres expect', () => {
    expect(cells('Redis')).toEqual(redisRows().map(row => [...row]))
    expect(cells('The database')).toEqual(postgresRows().map(row => [...row]))
  })
})

describe('the guide to the configuration', () => {
  const documented = new Map<string, { readonly preset: string; readonly meaning: string }>(
    Object.keys(configJsonSchema().properties ?? {}).flatMap(section =>
      rowsBelow('configuration', section)
        .filter(([key]) => key !== undefined && !key.startsWith('-'))
        .map(([key = '', preset = '', meaning = '']) => [`${section}.${key}`, { preset, meaning }] as const),
    ),
  )

  test('has every variable', () => {
    const rows = rowsBelow('configuration', 'Environment variables')

    for (const { name, path } of environmentTable) expect(rows).toContainEqual([name, path])
  })

  test('has every key with its default', () => {
    for (const { path, preset } of leavesOf(configJsonSchema())) {
      const [, above = '', key = ''] = /^(.+?)(?:\[\])?\.([^.]+)$/.exec(path) ?? []
      const row = documented.get(path)

      // A key without a row of its own stands by its name in the row of what it belongs to.
      if (row === undefined) expect(documented.get(above)?.meaning ?? '', path).toMatch(new RegExp(`\\b${key}\\b`))
      else if (preset !== undefined) expect(written(row.preset), path).toBe(written(preset))
    }
  })

  test('marks exactly the keys that have no effect yet', () => {
    for (const [path, { meaning }] of documented) {
      const tree = treeOf(treeWith(path))
      const waits = pendingWarnings(tree.kind === 'map' ? tree : emptyMap()).length > 0

      expect(/No effect yet/.test(meaning), path).toBe(waits)
    }
  })
})

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly items?: SchemaNode
  readonly additionalProperties?: SchemaNode | boolean
  readonly anyOf?: readonly SchemaNode[]
  readonly default?: unknown
}

interface Leaf {
  readonly path: string
  readonly preset: unknown
}

/** Sets of keys that stand in several places and are described in one. */
const SHARED =
  /^(?:servers|models)\.(?:timeouts|hedging)\.|^auth\.keys\[\]\.limits\.|^limits\.per_\w+\.|\.price\.|\.classes\./

/** Every key of the schema that has no keys below it; those of lists carry `[]`. */
function leavesOf(schema: unknown): Leaf[] {
  const { properties = {} } = schema as SchemaNode
  return Object.entries(properties)
    .flatMap(([section, node]) => {
      const [entry] = forms(node).flatMap(form => form.items ?? mapped(form))
      return below(section, node.properties === undefined && entry !== undefined ? entry : node)
    })
    .filter(({ path }) => !SHARED.test(path))
}

function below(path: string, node: SchemaNode): Leaf[] {
  const children = forms(node).flatMap(form => Object.entries(form.properties ?? {}))
  const items = forms(node).flatMap(form => (form.items?.properties === undefined ? [] : [form.items]))
  if (items[0] !== undefined) return below(`${path}[]`, items[0])
  if (children.length === 0) return [{ path, preset: node.default }]
  return children.flatMap(([key, child]) => below(`${path}.${key}`, child))
}

function forms(node: SchemaNode): readonly SchemaNode[] {
  return [node, ...(node.anyOf ?? [])]
}

function mapped({ additionalProperties }: SchemaNode): SchemaNode[] {
  return typeof additionalProperties === 'object' ? [additionalProperties] : []
}

/** Durations of a list are written as numbers by the schema, and quotes as the table likes. */
function written(preset: unknown): string {
  const text = typeof preset === 'string' ? preset : JSON.stringify(preset)
  return text.replaceAll(/["\s]/g, '').replace('[1000,5000]', '[1s,5s]')
}

/** A configuration in which only this key is set. */
function treeWith(path: string): unknown {
  const [section = '', ...keys] = path.split('.')
  const inner = keys.reduceRight<unknown>(
    (value, key) => (key.endsWith('[]') ? { [key.slice(0, -2)]: [value] } : { [key]: value }),
    'set',
  )
  if (section === 'servers') return { servers: [inner] }
  return { [section]: section === 'models' ? { name: inner } : inner }
}
