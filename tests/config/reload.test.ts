import { expect, test } from 'bun:test'
import fc from 'fast-check'
import { configFrom } from '#config/load.ts'
import { needsRestart, untilRestart } from '#config/reload.ts'
import type { ConfigInput } from '#config/schema.ts'

const settings = fc.record(
  {
    service: fc.record(
      { port: fc.integer({ min: 8000, max: 65_535 }), max_body: fc.integer({ min: 0 }) },
      { requiredKeys: [] },
    ),
    database: fc.record({ pool: fc.integer({ min: 1, max: 1000 }) }, { requiredKeys: [] }),
    monitoring: fc.record({ prometheus_port: fc.option(fc.integer({ min: 1, max: 7999 })) }, { requiredKeys: [] }),
    limits: fc.record({ enabled: fc.boolean() }, { requiredKeys: [] }),
  },
  { requiredKeys: [] },
)

test('names the changed keys that wait for the next start', () => {
  const after: ConfigInput = {
    service: {
      host: '0.0.0.0',
      port: 1,
      workers: 2,
      data_dir: '/d',
      tls: { cert_file: 'c', key_file: 'k' },
      name: 'x',
    },
    database: { url: 'postgres://h' },
    redis: { url: 'redis://h', timeout: 100 },
    vectors: { collection: 'c' },
    monitoring: { prometheus_port: 9090, log_level: 'debug' },
  }

  expect(needsRestart(configFrom(), configFrom(after))).toEqual([
    'service.host',
    'service.port',
    'service.workers',
    'service.data_dir',
    'database.url',
    'redis.url',
    'redis.timeout',
    'vectors.collection',
    'monitoring.prometheus_port',
    'service.tls',
  ])
})

test('keeps what waits for the next start, and takes the rest', () => {
  const before = configFrom({ service: { port: 1, name: 'old' }, redis: { url: 'redis://old' } })
  const tls = { cert_file: 'c', key_file: 'k' }
  const after = configFrom({ service: { port: 2, name: 'new', tls }, cache: { max_memory: '1MB', enabled: true } })

  const held = untilRestart(before, after)

  expect(held.service).toMatchObject({ port: 1, name: 'new', tls: null })
  expect(held.redis).toEqual(before.redis)
  expect(held.cache).toMatchObject({ max_memory: 512_000_000, enabled: true })
  expect(needsRestart(before, held)).toEqual([])
})

test('takes other certificates over', () => {
  const served = (name: string) => configFrom({ service: { tls: { cert_file: name, key_file: 'k' } } })

  expect(untilRestart(served('a'), served('b')).service.tls?.cert_file).toBe('b')
})

test('lets everything else change while running', () => {
  const after: ConfigInput = {
    models: { a: { endpoint: 'http://a' } },
    auth: { mode: 'required' },
    limits: { enabled: false },
  }

  expect(needsRestart(configFrom(), configFrom(after))).toEqual([])
})

test('needs no restart for an equal configuration, and the same one both ways', () => {
  fc.assert(
    fc.property(settings, settings, (a, b) => {
      expect(needsRestart(configFrom(a), configFrom(a))).toEqual([])
      expect(needsRestart(configFrom(a), configFrom(b))).toEqual(needsRestart(configFrom(b), configFrom(a)))
    }),
  )
})
