import { describe, expect, test } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import { createScope } from '#core/scope.ts'
import { parseBlock } from '#lib/net.ts'
import { createGuard } from '#providers/transport/guard.ts'
import { createSocketTransport } from '#providers/transport/index.ts'
import type { Lookup } from '#providers/transport/names.ts'
import { head, json, startUpstream } from '#tests/support/upstream.ts'

const clock = systemClock()

/** The host as a registration's address gives it to the guard. */
function hostOf(written: string): string {
  return new URL(`http://${written}:80`).hostname.replace(/^\[|\]$/g, '')
}

function allowing(...blocks: string[]) {
  const parsed = blocks.map(parseBlock).filter(block => block !== null)
  return () => parsed
}

const nobody: Lookup = async () => {
  throw new Error('ENOTFOUND')
}

describe('an address that is not public is refused, however it is written', () => {
  test.each([
    ['loopback', '127.0.0.1'],
    ['short', '127.1'],
    ['decimal', '2130706433'],
    ['octal', '0177.0.0.1'],
    ['hexadecimal', '0x7f000001'],
    ['hexadecimal, short', '0x7f.1'],
    ['in three notations', '0x7f.0.01.0000001'],
    ['with a dot behind', '127.0.0.1.'],
    ['in wide digits', '１２７.０.０.１'],
    ['this host', '0.0.0.0'],
    ['this network', '0.1.2.3'],
    ['metadata of a cloud', '169.254.169.254'],
    ['metadata, decimal', '2852039166'],
    ['the host of a machine of Azure', '168.63.129.16'],
    ['private', '10.1.2.3'],
    ['private', '172.31.255.255'],
    ['private', '192.168.0.1'],
    ['carrier', '100.64.0.1'],
    ['protocols', '192.0.0.8'],
    ['documents', '192.0.2.1'],
    ['benchmark', '198.18.0.1'],
    ['multicast', '224.0.0.1'],
    ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['IPv6 loopback', '[::1]'],
    ['IPv6 unspecified', '[::]'],
    ['IPv4 in IPv6', '[::ffff:127.0.0.1]'],
    ['IPv4 in IPv6, hexadecimal', '[::ffff:a9fe:a9fe]'],
    ['IPv4 in IPv6, the old way', '[::10.0.0.1]'],
    ['IPv4 in IPv6, translated', '[::ffff:0:7f00:1]'],
    ['IPv4 by local NAT64', '[64:ff9b:1::a00:1]'],
    ['IPv4 by NAT64', '[64:ff9b::a00:1]'],
    ['IPv4 by 6to4', '[2002:a00:1::]'],
    ['IPv4 by Teredo', '[2001:0:53aa:64c::]'],
    ['local IPv6', '[fd00::1]'],
    ['local IPv6', '[fc00::1]'],
    ['site-local IPv6', '[fec0::1]'],
    ['IPv6 to nowhere', '[100::1]'],
    ['IPv6 multicast', '[ff02::1]'],
    ['link-local IPv6', '[fe80::1]'],
    ['IPv6 for documents', '[2001:db8::1]'],
  ])('%s %s', async (_, written) => {
    const guard = createGuard(allowing(), nobody)

    await expect(guard(hostOf(written))).rejects.toMatchObject({ code: 'address_not_allowed', status: 400 })
  })
})

describe('a name is as good as its addresses', () => {
  test.each([
    ['127.0.0.1.nip.example', ['127.0.0.1']],
    ['mixed.example', ['1.1.1.1', '10.0.0.1']],
    ['v6.example', ['2606:4700::1', '::1']],
    ['zone.example', ['fe80::1%eth0']],
    ['nothing.example', []],
    ['nonsense.example', ['not-an-address']],
  ])('the name %s with the addresses %j is refused', async (name, addresses) => {
    const guard = createGuard(allowing(), async () => addresses)

    await expect(guard(name)).rejects.toMatchObject({ code: 'address_not_allowed' })
  })

  test('one that cannot be resolved is refused', async () => {
    await expect(createGuard(allowing(), nobody)('gone.example')).rejects.toMatchObject({ code: 'address_not_allowed' })
  })

  test('a public one is dialled at the address that was checked', async () => {
    const guard = createGuard(allowing(), async () => ['1.1.1.1', '2606:4700::1'])

    expect(await guard('fine.example')).toBe('1.1.1.1')
  })
})

test('private addresses are those that the operator allows, and no others', async () => {
  const guard = createGuard(allowing('10.1.0.0/16', 'fd00::/8'), nobody)

  expect(await guard('10.1.2.3')).toBe('10.1.2.3')
  expect(await guard('::ffff:10.1.2.3')).toBe('::ffff:10.1.2.3')
  expect(await guard('fd00::1')).toBe('fd00::1')
  await expect(guard('10.2.0.1')).rejects.toMatchObject({ code: 'address_not_allowed' })
})

describe('the transport behind the guard', () => {
  const outgoing = (url: string) => ({ method: 'GET' as const, url, headers: {}, body: null })
  const clocks = { connect: 2000, first_byte: 2000, idle: 2000 }

  test('dials the address that was checked, and names the host as it was asked for', async () => {
    await using upstream = await startUpstream(json(200, { ok: true }))
    const transport = createSocketTransport({
      clock,
      guard: createGuard(allowing('127.0.0.1'), async () => ['127.0.0.1']),
    })

    const answer = await transport(outgoing(`http://model.example:${upstream.port}/x`), createScope(clock), clocks)
    transport.close()

    expect(answer.head.status).toBe(200)
    expect(upstream.requests[0]?.headers.host).toBe(`model.example:${upstream.port}`)
  })

  test('a name that changes to a private address after it was checked is not dialled', async () => {
    await using upstream = await startUpstream(json(200, { ok: true }))
    const answers = [['1.1.1.1'], ['127.0.0.1']]
    const guard = createGuard(allowing(), async () => answers.shift() ?? [])
    const transport = createSocketTransport({ clock, guard })
    expect(await guard('rebinding.example')).toBe('1.1.1.1')

    const dialled = transport(outgoing(`http://rebinding.example:${upstream.port}/`), createScope(clock), clocks)

    await expect(dialled).rejects.toMatchObject({ code: 'upstream_error' })
    transport.close()
    expect(upstream.connections).toBe(0)
  })

  test('a redirect to a private address is an answer like any other, and not followed', async () => {
    await using inside = await startUpstream(json(200, { secret: true }))
    await using upstream = await startUpstream(head(307, { location: `${inside.url}/`, 'content-length': '0' }))
    const transport = createSocketTransport({
      clock,
      guard: createGuard(allowing('127.0.0.1'), async () => ['127.0.0.1']),
    })

    const answer = await transport(outgoing(`http://model.example:${upstream.port}/`), createScope(clock), clocks)
    transport.close()

    expect(answer.head.status).toBe(307)
    expect(inside.connections).toBe(0)
  })
})
