import { expect, test } from 'bun:test'
import { NOTHING_SAID, type ServerRecord } from '#core/registry.ts'
import { createServersOf, selfOf } from '#src/compose/registered.ts'
import { configFrom } from '#src/index.ts'

const OWN = { host: '0.0.0.0', port: 8443 }
const TLS = { cert_file: '/etc/citadel/tls.pem', key_file: '/etc/citadel/tls.key' }

test.each([
  ['plain', {}, { scheme: 'http', hostname: '127.0.0.1', port: 8443 }],
  ['with certificates', { service: { tls: TLS } }, { scheme: 'https', hostname: '127.0.0.1', port: 8443 }],
  [
    'behind a proxy',
    { orchestration: { advertise: 'https://gateway.example' } },
    { scheme: 'https', hostname: 'gateway.example', port: 443 },
  ],
] as const)('a gateway that is %s says so where it registers itself', (_, config, expected) => {
  expect(selfOf(configFrom(config), OWN)?.server_info).toMatchObject(expected)
})

test('a gateway that does not listen has nothing to say', () => {
  expect(selfOf(configFrom({}), null)).toBeNull()
})

const record: ServerRecord = {
  id: 'a',
  kind: 'openai_compatible',
  baseUrl: 'http://192.0.2.1:8000',
  origin: 'registered',
  status: 'active',
  settings: { ...NOTHING_SAID, role: 'llm' },
  alerts: {},
  load: null,
  by: 'admin',
  registeredAt: 1,
  heartbeatAt: 1,
}

test('a server that registered itself is one object until it leaves', () => {
  const config = configFrom({})
  const serversOf = createServersOf(() => config)
  const [first] = serversOf([record])
  const [same] = serversOf([record])
  serversOf([])
  const [again] = serversOf([record])

  expect([same === first, again === first]).toEqual([true, false])
  expect(again).toEqual(first)
})
