import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import {
  type Block,
  canonicalAddress,
  clientAddress,
  clientNetwork,
  formatAddress,
  isInBlocks,
  parseAddress,
  parseBlock,
} from '#lib/net.ts'

function blocks(...texts: readonly string[]): readonly Block[] {
  return texts.map(text => parseBlock(text)).filter(block => block !== null)
}

describe('an address', () => {
  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['0.0.0.0', '0.0.0.0'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8::1', '2001:db8::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::ffff:cb00:7107', '203.0.113.7'],
    ['64:ff9b::203.0.113.7', '64:ff9b::cb00:7107'],
  ])('%s is written %s', (text, expected) => {
    const address = parseAddress(text)

    expect(address && formatAddress(address)).toBe(expected)
  })

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '1.2.3.4:80',
    '0x7f.1.1.1',
    '2130706433',
    'localhost',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '1:2:3:4::5:6:7:8',
    '::1.2.3.4:5',
    '12345::',
    'g::',
    '::1.2.3',
    '1.2.3.4::',
    'fe80::1%eth0',
    '[::1]',
    '1'.repeat(10_000),
    ':'.repeat(10_000),
  ])('%p is none', text => {
    expect(parseAddress(text)).toBeNull()
  })

  test('is the same after writing and reading', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), text => {
        const address = parseAddress(text)

        expect(address && parseAddress(formatAddress(address))).toEqual(address)
      }),
    )
  })
})

describe('a block', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['192.168.1.64/26', '192.168.1.127', true],
    ['192.168.1.64/26', '192.168.1.128', false],
    ['127.0.0.1', '127.0.0.1', true],
    ['127.0.0.1', '127.0.0.2', false],
    ['127.0.0.1/32', '127.0.0.1', true],
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db8::1', '2001:db8::2', false],
    ['2001:db8::1/128', '2001:db8::1', true],
    ['0.0.0.0/0', '8.8.8.8', true],
    ['0.0.0.0/0', '::1', false],
    ['fd00::/8', 'fd12:3456::1', true],
    ['fd00::/8', 'fe80::1', false],
    ['::/0', '2001:db8::1', true],
    ['::/0', '10.0.0.1', false],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '11.1.2.3', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
  ])('%s and %s: %p', (block, text, inside) => {
    const address = parseAddress(text)

    expect(address !== null && isInBlocks(address, blocks(block))).toBe(inside)
  })

  test.each([
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/a',
    '::/129',
    'x/8',
    '::ffff:1.2.3.4/8',
  ])('%p is none', text => {
    expect(parseBlock(text)).toBeNull()
  })
})

describe('the client', () => {
  const proxies = blocks('10.0.0.0/8', 'fd00::/8')

  test.each([
    ['without the header is the peer', '203.0.113.7', null, '203.0.113.7'],
    ['cannot name itself', '203.0.113.7', '198.51.100.1', '203.0.113.7'],
    ['behind a proxy is the hop it wrote', '10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['cannot invent hops before it', '10.0.0.1', '1.1.1.1, 127.0.0.1, 198.51.100.1', '198.51.100.1'],
    ['is seen through several proxies', '10.0.0.1', '198.51.100.1, 10.0.0.9, 10.0.0.2', '198.51.100.1'],
    ['that is a proxy itself is the left-most one', '10.0.0.1', '10.0.0.9, 10.0.0.2', '10.0.0.9'],
    ['behind rubbish is the last proxy', '10.0.0.1', '198.51.100.1, unknown', '10.0.0.1'],
    ['behind rubbish and a proxy is that proxy', '10.0.0.1', '198.51.100.1, _hidden, 10.0.0.2', '10.0.0.2'],
    ['without an address is the peer', 'unix:', '198.51.100.1', 'unix:'],
    ['behind an empty header is the proxy', '10.0.0.1', '', '10.0.0.1'],
    ['may have a port', '10.0.0.1', '198.51.100.1:4711', '198.51.100.1'],
    ['may be in brackets', '10.0.0.1', '[2001:db8::1]:4711', '2001:db8::1'],
    ['is canonical', 'fd00::1', '2001:DB8:0::1', '2001:db8::1'],
    ['on a mapped peer is an IPv4 address', '::ffff:203.0.113.7', null, '203.0.113.7'],
    ['behind a mapped proxy is the hop it wrote', '::ffff:10.0.0.1', '198.51.100.1', '198.51.100.1'],
  ])('%s', (_, peer, forwarded, expected) => {
    expect(clientAddress(peer, forwarded, proxies)).toBe(expected)
  })

  test('is the peer when no proxy is trusted', () => {
    expect(clientAddress('10.0.0.1', '198.51.100.1', [])).toBe('10.0.0.1')
  })

  test('is found in bounded time in a header of any length', () => {
    const forwarded = `198.51.100.1, ${Array.from({ length: 50_000 }, () => '10.0.0.2').join(',')}`

    expect(clientAddress('10.0.0.1', forwarded, proxies)).toBe('10.0.0.2')
  })

  test.each([
    ['203.0.113.7', '203.0.113.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::1', '2001:db8:1:2::/64'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['', ''],
    ['no address', 'no address'],
  ])('%p is counted as %p', (text, network) => {
    expect(clientNetwork(text)).toBe(network)
  })

  test('has no zone', () => {
    expect(canonicalAddress('fe80::1%eth0')).toBe('fe80::1')
  })
})
