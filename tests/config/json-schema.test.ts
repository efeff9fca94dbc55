import { expect, test } from 'bun:test'
import { configJsonSchema } from '#config/json-schema.ts'

const schema = configJsonSchema()
type JsonSchema = typeof schema

function at(path: string) {
  return path.split('.').reduce<JsonSchema>((node, key) => {
    const inner = node.properties?.[key]
    if (typeof inner !== 'object') throw new Error(`${path} has no ${key}`)
    return inner
  }, schema)
}

test('names itself and the sections', () => {
  expect(schema.title).toBe('Citadel Gateway configuration')
  expect(schema.properties).toHaveProperty('load_balancer')
  expect(schema.additionalProperties).toBe(false)
})

test('gives the defaults as they are written in a file', () => {
  expect(at('service.port').default).toBe(8000)
  expect(at('service.max_body').default).toBe('10MB')
  expect(at('cache.ttl.models').default).toBe('5m')
  expect(at('limits.global.burst').default).toBe(100)
  expect(at('monitoring.log_level').default).toBe('info')
  expect(at('monitoring.thresholds.response_time').default).toEqual(['1s', '5s'])
})

test('describes every key of every section', () => {
  const undescribed = Object.keys(schema.properties ?? {}).flatMap(section =>
    Object.entries(at(section).properties ?? {})
      .filter(([, value]) => typeof value === 'object' && !value.description)
      .map(([key]) => `${section}.${key}`),
  )

  expect(undescribed).toEqual([])
})

test('lets a reference to a variable stand for a number, a word and a truth', () => {
  const reference = { type: 'string' as const, pattern: '\\$\\{' }

  for (const path of ['service.port', 'gateway.headers', 'cache.enabled'])
    expect(at(path).anyOf).toContainEqual(reference)
})

/** Whether an editor takes a text for this value. */
function takes(node: unknown, text: string): boolean {
  const { pattern, anyOf = [] } = Object(node) as JsonSchema
  if (typeof pattern === 'string') return new RegExp(pattern, 'u').test(text)
  return anyOf.some(each => takes(each, text))
}

const NAMED = [
  ['the id of a server', Object(at('servers').items).properties.id, 'GPU-1'],
  ['the default model', at('gateway.default_model'), 'Qwen/Qwen3-8B'],
  ['a path', at('monitoring.metrics_endpoint'), '/Metrics'],
  ['an origin', at('cors.origins').items, 'HTTPS://App.Example.com'],
] as const

test.each(NAMED)('takes for %s what the gateway takes, and a reference', (_, node, text) => {
  expect([text, `\${NAME:-x}`, 'a b'].map(each => takes(node, each))).toEqual([true, true, false])
})

test('takes names of models in any letters, and no reference in their place', () => {
  const names = at('models').propertyNames

  expect(['Qwen/Qwen3-8B', 'qwen', `\${NAME}`].map(each => takes(names, each))).toEqual([true, true, false])
})

test('can be sent as JSON', () => {
  const sent: unknown = JSON.parse(JSON.stringify(schema))

  expect<unknown>(sent).toEqual(schema)
})
