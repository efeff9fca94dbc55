import { expect, test } from 'bun:test'
import { newSecret, newSigningSecret, openSigning, sealSigning } from '#access/secret.ts'

test('what a key signs with is opened by that key alone, and sealed anew each time', () => {
  const [key, other] = [newSecret().secret, newSecret().secret]
  const secret = newSigningSecret()
  const sealed = sealSigning(key, secret)

  expect(secret).toMatch(/^cs_[\w-]{43}$/)
  expect(openSigning(key, sealed)).toBe(secret)
  expect(openSigning(other, sealed)).toBeNull()
  expect(openSigning(key, `${sealed.startsWith('A') ? 'B' : 'A'}${sealed.slice(1)}`)).toBeNull()
  expect(openSigning(key, '')).toBeNull()
  expect(sealed).not.toContain(secret)
  expect(sealSigning(key, secret)).not.toBe(sealed)
})
