import { expect, test } from 'bun:test'
import { CannotListen, claimPort, listen, PortTaken } from '#src/server.ts'
import { rawClient } from '#tests/support/raw-client.ts'
import { isRefused } from '#tests/support/server-process.ts'

const REQUEST = 'GET / HTTP/1.1\r\nhost: test\r\n\r\n'

function serveOn(port: number, answer: string) {
  const handle = async () => new Response(answer)
  return listen({ host: '127.0.0.1', port, keepAliveSeconds: 10, shared: true, handle })
}

test('a server that takes no more connections still answers on those that it has', async () => {
  const server = serveOn(0, 'here')
  const client = rawClient(server.port, REQUEST)
  await client.until(text => text.endsWith('here'))
  await server.deafen()
  const refused = await isRefused(server.url)
  client.socket.write(REQUEST)
  const text = await client.until(all => all.split('here').length === 3)
  await server.stop()

  expect(refused).toBe(true)
  expect(text.match(/200 OK/g)).toHaveLength(2)
  expect(await client.ended).toBe('end')
})

test('a port is not claimed that others share', async () => {
  const server = serveOn(0, 'here')

  expect(() => claimPort('127.0.0.1', server.port)).toThrow(PortTaken)
  await server.kill()
  expect(claimPort('127.0.0.1', server.port)).toBe(server.port)
  expect(claimPort('127.0.0.1', 0)).toBeGreaterThan(0)
})

test.each([
  ['EACCES', 'this user may not use that port. Set service.port or --port'],
  ['EADDRNOTAVAIL', 'this machine does not have that address. Set service.host or --host'],
])('what cannot be listened on for %s is told with what helps', (code, said) => {
  expect(new CannotListen('127.0.0.1', 80, { code }).message).toContain(said)
})
