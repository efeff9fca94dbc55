import { expect, test } from 'bun:test'
import { secretsOf } from '#src/compose/edge.ts'
import { configFrom } from '#src/index.ts'

test('every secret slot of a configuration is kept out of the log', () => {
  const config = configFrom({
    auth: { keys: [{ name: 'a', key: 'canary-key' }], admin_keys: ['canary-admin'] },
    servers: [{ id: 's', kind: 'ollama', api_keys: ['canary-server'], headers: { 'x-secret': 'canary-header' } }],
    service: { secret: 'canary-secret' },
    database: { url: 'postgres://citadel:canary%2Fpassword@db/citadel?sslmode=disable&password=canary%26query' },
    redis: { url: 'redis://cache:1?password=canary-redis' },
    webhooks: {
      deliver: [
        { url: 'https://hooks.example.com/services/canary' },
        { url: 'https://hooks.example.com/?sig=canary' },
        { url: 'https://plain.example.com/' },
      ],
    },
  })

  expect(secretsOf(config).toSorted()).toEqual(
    [
      'canary-key',
      'canary-admin',
      'canary-server',
      'canary-header',
      'canary-secret',
      'canary%2Fpassword',
      'canary/password',
      'canary%26query',
      'canary&query',
      'canary-redis',
      'canary-redis',
      'https://hooks.example.com/services/canary',
      'https://hooks.example.com/?sig=canary',
    ].toSorted(),
  )
})
