import { expect, test } from 'bun:test'
import { viaNext } from '#gateway/upstream/hops.ts'

test.each([
  [undefined, '1.1 citadel-me'],
  ['1.1 nginx', '1.1 nginx, 1.1 citadel-me'],
  ['1.1 citadel-a, 1.1 nginx, 1.1 citadel-b', '1.1 citadel-a, 1.1 nginx, 1.1 citadel-b, 1.1 citadel-me'],
])('a request that came via %s goes on via %s', (via, next) => {
  expect(viaNext('citadel-me', via)).toBe(next)
})

test.each([
  '1.1 citadel-me',
  '1.1 citadel-a, 1.1 citadel-me, 1.1 nginx',
  '1.1 citadel-a, 1.1 citadel-b, 1.1 citadel-c',
  '1.1 citadel-a,1.1 citadel-b,1.1 citadel-c,1.1 citadel-d',
])('a request that came via %s goes to no other gateway', via => {
  expect(() => viaNext('citadel-me', via)).toThrow(
    expect.objectContaining({ code: 'loop_detected', status: 508, retryable: true }),
  )
})
