import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { closest, didYouMean } from '#lib/closest.ts'

const models = ['mixtral-8x7b', 'hermes-2', 'openchat-3.5', 'phi-3-mini', 'gpt-5', 'gpt-5-mini']

test('finds a name with a slip of the finger', () => {
  expect(closest('targts', ['targets', 'fallbacks', 'aliases'])).toEqual(['targets'])
})

test('counts two swapped neighbours as one slip', () => {
  expect(closest('haed', ['head', 'lead', 'held'], 1)).toEqual(['head'])
})

test('finds a long name by a part of it', () => {
  expect(closest('mixtral', models)).toEqual(['mixtral-8x7b'])
})

test('prefers a name that holds the wanted one, or is held by it, to one that is a few slips away', () => {
  expect(closest('requests_per_min', ['requests_per_day', 'requests_per_hour', 'requests_per_minute'], 1)).toEqual([
    'requests_per_minute',
  ])
  expect(closest('api_keys', ['mode', 'keys', 'admin_keys'], 1)).toEqual(['keys'])
})

test('prefers the name that begins alike to another one that is as many slips away', () => {
  expect(closest('servis', ['servers', 'service'], 1)).toEqual(['service'])
})

test('finds another form of the same word', () => {
  const settings = ['retry', 'cache', 'hedging', 'concurrent_requests', 'redis', 'recovery']
  const written = ['retries', 'caching', 'hedge', 'concurrency']
  expect(written.map(name => closest(name, settings, 1)[0])).toEqual([
    'retry',
    'cache',
    'hedging',
    'concurrent_requests',
  ])
})

test('ignores case', () => {
  expect(closest('Hermes-2', models, 1)).toEqual(['hermes-2'])
})

test('gives the nearest first and no more than asked for', () => {
  expect(closest('gpt-5', ['gpt-5-mini', 'gpt-4', 'gpt-5'], 2)).toEqual(['gpt-5', 'gpt-4'])
})

test('gives nothing when nothing is near', () => {
  expect(closest('claude', models)).toEqual([])
})

test('gives nothing for no name and for no candidates', () => {
  expect([closest('', models), closest('gpt', [])]).toEqual([[], []])
})

test('bounds the work for a name of any length', () => {
  expect(closest('x'.repeat(10_000_000), ['x'.repeat(64), 'y'])).toEqual(['x'.repeat(64)])
})

test('always finds a candidate by its own name, and gives only candidates', () => {
  fc.assert(
    fc.property(fc.array(fc.string({ minLength: 1, maxLength: 20 }), { minLength: 1 }), names => {
      const [name = ''] = names
      const found = closest(name, names, names.length)
      expect(found.map(each => each.toLowerCase())).toContain(name.toLowerCase())
      expect(names).toEqual(expect.arrayContaining(found))
    }),
  )
})

test('ends a message with the one that was meant', () => {
  expect([didYouMean('prot', ['port', 'host']), didYouMean('x', ['port'])]).toEqual([', did you mean "port"?', ''])
})
