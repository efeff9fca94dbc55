import { expect, test } from 'bun:test'
import { edgeOf } from './edge.ts'

const STRANGER = '203.0.113.7'
const PROXY = '10.1.1.1'
const config = { service: { trusted_proxies: ['10.0.0.0/8', 'fd00::/8'] } }

/** Who the log says has asked. */
async function clientOf(from: string, headers: Readonly<Record<string, string>>): Promise<string> {
  const edge = await edgeOf(config)
  await edge.ask('/v1/models', { from, headers })
  const lines = (await edge.log()).map(line => JSON.parse(line) as Record<string, unknown>)
  return String(lines.find(({ message }) => message === 'request')?.client)
}

/** Headers that anybody can write; whoever is no trusted proxy is who it is. */
const SPOOFS: readonly Readonly<Record<string, string>>[] = [
  { 'x-forwarded-for': '10.0.0.1' },
  { 'x-forwarded-for': '127.0.0.1, 10.0.0.1' },
  { 'x-forwarded-for': '::1' },
  { 'x-real-ip': '127.0.0.1' },
  { forwarded: 'for=127.0.0.1;proto=https' },
  { 'true-client-ip': '127.0.0.1' },
  { 'cf-connecting-ip': '127.0.0.1' },
  { 'x-client-ip': '127.0.0.1' },
  { 'x-forwarded-host': 'localhost', 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' },
]

test.each(SPOOFS)('a stranger stays who he is with %j', async headers => {
  expect(await clientOf(STRANGER, headers)).toBe(STRANGER)
})

test.each<[string, Readonly<Record<string, string>>, string]>([
  ['its client', { 'x-forwarded-for': '198.51.100.1' }, '198.51.100.1'],
  ['the right-most hop, whatever stands left of it', { 'x-forwarded-for': '127.0.0.1, 198.51.100.1' }, '198.51.100.1'],
  ['the hop before another proxy', { 'x-forwarded-for': '1.1.1.1, 198.51.100.1, 10.2.2.2' }, '198.51.100.1'],
  ['the hop before a proxy of IPv6', { 'x-forwarded-for': '198.51.100.1, fd00::1' }, '198.51.100.1'],
  ['the farthest proxy when all hops are', { 'x-forwarded-for': '10.3.3.3, 10.2.2.2' }, '10.3.3.3'],
  ['the last good hop before nonsense', { 'x-forwarded-for': '198.51.100.1, unknown, 10.2.2.2' }, '10.2.2.2'],
  ['a hop with a port', { 'x-forwarded-for': '198.51.100.1:1234' }, '198.51.100.1'],
  ['a hop of IPv6 in any spelling', { 'x-forwarded-for': '[2001:DB8:0::1]:443' }, '2001:db8::1'],
  ['an IPv4 address within IPv6', { 'x-forwarded-for': '::ffff:198.51.100.1' }, '198.51.100.1'],
  ['itself when it says nothing', {}, PROXY],
  ['itself with an empty list', { 'x-forwarded-for': '' }, PROXY],
  ['itself by other headers', { forwarded: 'for=198.51.100.1', 'x-real-ip': '198.51.100.1' }, PROXY],
])('a trusted proxy stands for %s', async (_, headers, client) => {
  expect(await clientOf(PROXY, headers)).toBe(client)
})

test('a trusted proxy is known as an IPv4 address within IPv6 too', async () => {
  expect(await clientOf('::ffff:10.1.1.1', { 'x-forwarded-for': '198.51.100.1' })).toBe('198.51.100.1')
})

test('an IPv4 address within IPv6 is the IPv4 address, whatever headers come with it', async () => {
  expect(await clientOf(`::ffff:${STRANGER}`, {})).toBe(STRANGER)
  expect(await clientOf(`::ffff:${STRANGER}`, { 'x-forwarded-for': '127.0.0.1' })).toBe(STRANGER)
})
