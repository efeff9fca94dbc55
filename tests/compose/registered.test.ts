import { expect, test } from 'bun:test'
import { selfOf } from '#src/compose/registered.ts'
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
