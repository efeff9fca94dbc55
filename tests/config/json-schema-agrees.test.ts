// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references to variables are what these files hold
import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { parse } from 'yaml'
import { wordIssue } from '#config/explain.ts'
import { configJsonSchema } from '#config/json-schema.ts'
import { configSchema } from '#config/schema.ts'
import { complaints, loadText } from '#tests/support/config-texts.ts'
import { sharedDir } from '#tests/support/shared.ts'

setDefaultTimeout(60_000)

type Schema = ReturnType<typeof configJsonSchema>
type Step = string | number
interface Place {
  readonly path: readonly Step[]
  readonly schema: Schema
  /** The schemas of what it stands in, from the outermost one. */
  readonly schemas: readonly Schema[]
}

const published = configJsonSchema()
const ajv = new Ajv({ strict: false, unicodeRegExp: true })
const editorTakes = ajv.compile(published)

/** What the gateway itself says of a configuration, besides what one part says of another. */
function saidOf(config: unknown): readonly string[] {
  const { error } = configSchema.safeParse(config, { error: wordIssue, jitless: true })
  return (error?.issues ?? []).map(({ message }) => message)
}

/** What a description of single values cannot say. */
const BETWEEN_VALUES = /has no effect without|must not be above|needs key or key_file/

const REQUIRED: Readonly<Record<string, unknown>> = {
  id: 's',
  kind: 'ollama',
  server: 's',
  name: 'n',
  key: 'sk-a',
  usd: 1,
  above: 1,
  cert_file: 'c.pem',
  key_file: 'k.pem',
  url: 'http://h.test',
}

/** Every place where a value may stand: a key, a name of one's own, an item of a list. */
function* places(schema: Schema, path: readonly Step[], schemas: readonly Schema[]): Generator<Place> {
  if (path.length > 1) yield { path, schema, schemas }
  const below = (key: Step, inner: unknown, of: Schema) =>
    isSchema(inner) ? places(inner, [...path, key], [...schemas, of]) : []
  for (const [key, inner] of Object.entries(schema.properties ?? {})) yield* below(key, inner, schema)
  yield* below('own-name', schema.additionalProperties, schema)
  yield* below(0, schema.items, schema)
  for (const inner of schema.anyOf ?? [])
    if (inner.type === 'object' || inner.type === 'array') yield* places(inner, path, schemas)
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A configuration with one value, and what has to stand beside it. */
function configOf({ path, schemas }: Place, value: unknown): unknown {
  return path.reduceRight<unknown>((inner, key, depth) => {
    if (typeof key === 'number') return [inner]
    const beside = Object.keys(schemas[depth]?.properties ?? {}).filter(name => requires(schemas[depth], name))
    return { ...Object.fromEntries(beside.map(name => [name, REQUIRED[name]])), [key]: inner }
  }, value)
}

function requires(schema: Schema | undefined, name: string): boolean {
  const isKey = name === 'key' && schema?.properties?.key_file !== undefined
  return isKey || (schema?.required ?? []).includes(name)
}

const VALUES: readonly unknown[] = [
  ...[true, false, null, 0, 1, 2, 5, 20, 60, 100, 101, 1000, 65_535, 70_000, -1, 0.5, 1.5, 3e9, 1e20],
  ...['true', 'Yes', 'no', 'OFF', '1', '0', '20', ' 5 ', '1e1', 'maybe', '', ' ', 'auto', 'Auto', 'x y'],
  ...['5m', '10 s', '100MS', '24d', '5 minutes', '10MB', '64 KiB', '1gb', '5 bytes', '-5s', 'p95', 'P5', 'p0', 'p100'],
  ...['http://h.test', 'HTTPS://H.test/v1', 'ftp://h.test', 'h.test:80', 'http://u:p@h.test', '/metrics', 'metrics'],
  ...[
    'redis://h.test',
    'rediss://h.test:1',
    'redis:6379',
    'postgres://h.test/d',
    'sqlite:',
    'sqlite://f.db',
    'memory:',
  ],
  ...['10.0.0.0/8', '::1', 'fe80::/64', '10.0.0.0.0/8', '*', 'https://*.a.test', 'HTTP://a.test:*', 'null'],
  ...['2027-01-01', '2027-01-01T12:00:00Z', 'tomorrow', 'info', 'WARNING', 'loud', 'Round_Robin', 'roundrobin'],
  ...['ollama', 'Heavyweight', 'key', 'Admin', 'month', 'closed', 'RS256', 'rs256', 'server_registered', 'HIGH'],
  ...[[], [1], ['a'], ['A.b'], ['10.0.0.1'], [5, 60], ['1s', '2s'], [0.1, 0.2], ['a', 1], {}, { a: 1 }, { 'a b': 'c' }],
  ...[{ prefer: ['a'] }, { input: 1 }, { usd: 5, per: 'DAY' }, { unknown: 1 }],
]

const all = new Map([...places(published, [], [])].map(place => [place.path.join('.'), place]))
const anywhere = fc.constantFrom(...all.keys())

function at(name: string): Place {
  const place = all.get(name)
  if (place === undefined) throw new Error(`there is no ${name}`)
  return place
}

/** What no pattern can say of a text: how large the number or duration in it is, and what stands in an address. */
function isBeyondPatterns(value: unknown, said: readonly string[]): boolean {
  if (typeof value !== 'string') return false
  const isNumber = value.trim() !== '' && Number.isFinite(Number(value))
  return isNumber || /^http/i.test(value) || said.every(message => message.endsWith(' at most)'))
}

test('the published schema and the gateway say the same of any value anywhere', () => {
  fc.assert(
    fc.property(anywhere, fc.constantFrom(...VALUES), (name, value) => {
      const config = configOf(at(name), value)
      const said = saidOf(config)
      const isUnsaid = said.every(message => BETWEEN_VALUES.test(message)) || isBeyondPatterns(value, said)

      const isTaken = editorTakes(config)
      if (said.length === 0) expect(isTaken).toBe(true)
      else if (!isUnsaid) expect(isTaken).toBe(false)
    }),
    { numRuns: 2000 },
  )
})

test('the published schema refuses no text and no number that the gateway takes', () => {
  const values = fc.oneof(
    fc.string(),
    fc.double(),
    fc.integer(),
    fc.webUrl(),
    fc.stringMatching(/^\d{1,3}[a-zA-Z]{0,3}$/),
  )
  fc.assert(
    fc.property(anywhere, values, (name, value) => {
      const config = configOf(at(name), value)
      if (saidOf(config).length === 0) expect(editorTakes(config)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})

test('what the schema marks as a secret is in no complaint, whatever stands there', async () => {
  const isSecret = (schema: unknown): boolean =>
    isSchema(schema) && (schema['x-secret'] === true || (schema.anyOf ?? []).some(isSecret))
  const holds = ({ schema }: Place) => [schema, schema.items, schema.additionalProperties].some(isSecret)
  const secrets = [...all.values()].filter(holds)

  expect(secrets.length).toBeGreaterThan(15)
  for (const place of secrets) {
    for (const value of [1234567890, 'one\n1234567890', [1234567890], { 'x-a': 1234567890 }]) {
      const said = await complaints(loadText(JSON.stringify(configOf(place, value))))
      expect(said.join(), place.path.join('.')).not.toContain('1234567890')
    }
  }
})

test('a reference may stand for every single value', () => {
  const isSingle = ({ path, schemas }: Place) => {
    const parent = schemas.at(-1)
    const key = path.at(-1) ?? ''
    const schema = parent?.properties?.[key] ?? (typeof key === 'number' ? parent?.items : parent?.additionalProperties)
    return isSchema(schema) && !/"(?:object|array)"/.test(JSON.stringify([schema.type, ...(schema.anyOf ?? [])]))
  }
  const refused = [...all.values()]
    .filter(isSingle)
    .filter(place => !editorTakes(configOf(place, '${SOME_VARIABLE:-5}')))

  expect(refused.map(({ path }) => path.join('.'))).toEqual([])
})

test('empty sections are sections of which every line is commented out', async () => {
  const sections = Object.keys(published.properties ?? {})

  expect(editorTakes(Object.fromEntries(sections.map(name => [name, null])))).toBe(true)
  expect(await complaints(loadText(sections.map(name => `${name}:\n`).join('')))).toEqual([])
})

test('the files that come with the gateway are good in an editor, too', () => {
  const folder = join(import.meta.dir, '../../config')
  for (const name of ['gateway.yaml', 'examples/citadel.yaml', 'examples/minimal.yaml', 'examples/openai.yaml']) {
    const text = readFileSync(join(folder, name), 'utf8')
    const uncommented = name === 'gateway.yaml' ? text.replaceAll(/^#(?=\w| {2})/gm, '') : text
    const isTaken = editorTakes(parse(uncommented))

    expect([name, isTaken, editorTakes.errors]).toEqual([name, true, null])
  }
})

const shared = sharedDir()

test.skipIf(shared === null)('so is the file of the organisation', () => {
  const text = readFileSync(join(shared ?? '', 'citadel-config', 'unified-api-gateway.yaml'), 'utf8')

  expect([editorTakes(parse(text)), editorTakes.errors]).toEqual([true, null])
})
