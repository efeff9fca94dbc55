import { expect, test } from 'bun:test'
import { loadText } from '#tests/support/config-texts.ts'

test('says of each value where it was written: in a file, by a variable', async () => {
  const text = 'service:\n  port: 9000\nservers:\n  - { id: a, kind: ollama }\n'

  const { origins } = await loadText(text, { env: { LOAD_BALANCER_ALGORITHM: 'random' } })

  expect(origins.get('service.port')).toBe('gateway.yaml:2:9')
  expect(origins.get('servers.0.id')).toBe('gateway.yaml:4:11')
  expect(origins.get('load_balancer.algorithm')).toBe('LOAD_BALANCER_ALGORITHM')
  expect(origins.has('service.host')).toBe(false)
})
