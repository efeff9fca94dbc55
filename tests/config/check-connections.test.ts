import { expect, test } from 'bun:test'
import { checkConnections } from '#config/check-connections.ts'
import { emptyMap, place, treeOf } from '#config/tree.ts'

/** Which of the servers say something that the first of their address does not. */
function complaintsOf(...servers: readonly object[]): string[] {
  const written = treeOf(servers.map((server, n) => ({ id: `s${n}`, kind: 'ollama', ...server })))
  const complaints: string[] = []
  checkConnections(place(emptyMap(), ['servers'], written), (path, message) =>
    complaints.push(`${path.join('.')} ${message.split(',')[0]}`),
  )
  return complaints
}

const at = (base_url: string, more: object = {}) => ({ base_url, ...more })
const tls = { ca_file: 'a.pem', server_name: null }
const proxy = 'http://proxy:3128'

test.each([
  ['the same', at('https://x', { tls, proxy }), at('https://x/v1', { tls: { ca_file: 'a.pem' }, proxy })],
  ['the same port, once unsaid', at('https://x:443', { tls }), at('https://x', { tls })],
  ['nothing', at('https://x', { tls, proxy }), at('https://x')],
  ['something first', at('https://x'), at('https://x', { tls, proxy })],
  ['a part of it', at('https://x', { tls, proxy }), at('https://x', { proxy })],
  ['something else of another port', at('https://x:1', { tls }), at('https://x:2', { tls: { ca_file: 'b.pem' } })],
  ['something else of another scheme', at('http://x:1', { proxy }), at('https://x:1', { proxy: 'http://q:1' })],
  ['something of no address', at('nonsense', { tls }), at('nonsense', { tls: {} })],
])('servers of one address may say %s', (_, one, two) => {
  expect(complaintsOf(one, two)).toEqual([])
})

test('each that differs from the first is named', () => {
  const b = { ca_file: 'b.pem' }

  expect(complaintsOf(at('https://x', { tls }), at('https://x', { tls, proxy }), at('https://x', { tls: b }))).toEqual([
    'servers.1.proxy server "s1" has the address of "s0"',
    'servers.2.tls server "s2" has the address of "s0"',
  ])
  expect(complaintsOf({ kind: 'openai', proxy }, { kind: 'OpenAI', proxy: 'http://q:1' })).toEqual([
    'servers.1.proxy server "s1" has the address of "s0"',
  ])
})
