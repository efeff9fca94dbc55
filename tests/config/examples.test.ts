import { expect, test } from 'bun:test'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { configJsonSchema } from '#config/json-schema.ts'
import { configFrom, loadConfig } from '#config/load.ts'
import type { Config } from '#config/schema.ts'
import { loadText } from '#tests/support/config-texts.ts'

const folder = join(import.meta.dir, '../../config')
const shipped = readFileSync(join(folder, 'gateway.yaml'), 'utf8')
// Keys begin right after the "#" or are indented by two; sentences begin after one blank.
const uncommented = shipped.replaceAll(/^#(?=\w| {2})/gm, '')

test('ships a file that equals no file', async () => {
  const { config, warnings } = await loadConfig({ files: [join(folder, 'gateway.yaml')], env: {} })

  expect(config).toEqual(configFrom())
  expect(warnings).toEqual([])
})

test('ships a file whose lines show the defaults', async () => {
  const { config } = await loadText(uncommented)

  const without = ({ servers: _, models: _models, auth, ...rest }: Config) => ({ ...rest, auth: { ...auth, keys: [] } })
  expect(without(config)).toEqual(without(configFrom()))
})

test('ships a file that shows every key', () => {
  const shown = new Set([...uncommented.matchAll(/([a-z_\d]+):/g)].map(match => match[1]))

  expect(keysOf(configJsonSchema()).filter(key => !shown.has(key))).toEqual([])
})

test.each(readdirSync(join(folder, 'examples')).filter(name => name.endsWith('.yaml')))(
  'loads the example %s with no variable set',
  async name => {
    const { config } = await loadConfig({ files: [join(folder, 'examples', name)], env: {} })

    expect(Object.keys(config.models).length).toBeGreaterThan(0)
  },
)

test('shows the whole topology of an organisation', async () => {
  const { config } = await loadConfig({ files: [join(folder, 'examples/citadel.yaml')], env: {} })

  const on = (id: string) =>
    Object.values(config.models).filter(model => model.targets.some(target => target.server === id))
  expect(config.service.port).toBe(8002)
  expect([on('ollama').length, on('business').length]).toEqual([6, 4])
  expect(config.gateway.classes.lightweight?.prefer).toEqual(['ollama', 'business'])
})

type Schema = ReturnType<typeof configJsonSchema>

function keysOf(schema: Schema): string[] {
  const inner = [schema.items, schema.additionalProperties, ...(schema.anyOf ?? [])].flat()
  const nested = inner.flatMap(each => (typeof each === 'object' && each !== null ? keysOf(each as Schema) : []))
  const own = Object.entries(schema.properties ?? {})
  return [...nested, ...own.flatMap(([key, value]) => [key, ...(typeof value === 'object' ? keysOf(value) : [])])]
}
