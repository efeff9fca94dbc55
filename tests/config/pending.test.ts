import { expect, test } from 'bun:test'
import { parseFile } from '#config/parse.ts'
import { type Pending, pendingWarnings } from '#config/pending.ts'
import { loadText } from '#tests/support/config-texts.ts'

const table: Pending[] = [
  ['gateway.cost', 'routing by cost'],
  ['cache.*', 'the cache'],
  ['service.workers', 'several processes'],
  ['service.tls', 'https'],
  ['auth.keys.*.budget', 'budgets'],
  ['limits.*.tokens', 'token limits'],
]

async function warningsOf(text: string) {
  const { tree } = await parseFile(text, 'gateway.yaml', { CERT: 'x' })
  return pendingWarnings(tree, table)
}

test('names the key, its place, and what it waits for', async () => {
  expect(await warningsOf('gateway:\n  cost: true')).toEqual([
    'gateway.yaml:2:3  gateway.cost: no effect yet, waits for routing by cost',
  ])
})

test('tells in one line of all such keys of a section', async () => {
  const warnings = await warningsOf(
    'service: { port: 1, workers: 2, tls: { cert: a, key: b } }\ncache: { ttl: 1h, ages: [1, 2] }',
  )

  expect(warnings).toEqual([
    'gateway.yaml:1:21  service.workers, tls: no effect yet, waits for several processes, https',
    'gateway.yaml:2:10  cache.ttl, ages: no effect yet, waits for the cache',
  ])
})

test('leaves out the number of a list entry, so that many entries are one key', async () => {
  const warnings = await warningsOf('auth: { keys: [{ budget: { usd: 1 } }, { name: a }, { budget: { usd: 2 } }] }')

  expect(warnings).toEqual(['gateway.yaml:1:28  auth.keys.*.budget: no effect yet, waits for budgets'])
})

test('tells also of a key that is set to its default', async () => {
  expect(await warningsOf('limits: { global: { tokens: 5 } }')).toHaveLength(1)
})

test.each([
  'service: { workers: 0, tls: null }',
  'cache: { enabled: false, ttl: 1h }',
  'cache: { enabled: "no", ttl: 1h }',
  'cache: {}',
  'cache: { ages: [] }',
  'limits: { global: { tokens: 0 } }',
  'service: { port: 1 }',
])('says nothing of what is switched off or works: %j', async text => {
  expect(await warningsOf(text)).toEqual([])
})

test('names the variables of a section in one line', async () => {
  const { warnings } = await loadText('', { env: { API_GATEWAY_WORKERS: '2', GATEWAY_CACHE_ENABLED: 'false' } })

  for (const line of warnings)
    expect(line).toMatch(/^environment {2}API_GATEWAY_WORKERS: no effect yet, waits for [\w ]+$/)
})
