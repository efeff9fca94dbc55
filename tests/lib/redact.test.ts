import { expect, test } from 'bun:test'
import { redactPatterns } from '#lib/redact.ts'

test.each([
  ['key sk-abcdefghijklmnop here', 'key [redacted] here'],
  ['ck_3q2-7wAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBk', '[redacted]'],
  ['AIzaSyA1234567890abcdefghij', '[redacted]'],
  ['authorization: Bearer abc.def~ghi+jkl', 'authorization: Bearer [redacted]'],
  ['eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xx.c2lnbmF0dXJl', '[redacted]'],
  ['x-eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0xx.c2lnbmF0dXJl, eyJhbGciOiJIUzI1NiJ9', 'x-[redacted], eyJhbGciOiJIUzI1NiJ9'],
  ['eyJoZWFkZXIx.eyJoZWFkZXIx.eyJoZWFkZXIx.x', '[redacted].x'],
  ['jdbc-2.postgres://me:pa55@db -https://me:pa55@db', 'jdbc-2.postgres://me:[redacted]@db -https://me:[redacted]@db'],
  ['postgres://me:pa55@db/citadel', 'postgres://me:[redacted]@db/citadel'],
  ['{"url":"http://a","mail":"me@example.org"}', '{"url":"http://a","mail":"me@example.org"}'],
  ['a task-oriented, risk-averse basic idea', 'a task-oriented, risk-averse basic idea'],
])('%s', (text, clean) => {
  expect(redactPatterns(text)).toBe(clean)
})

test('takes no long time over a hostile text', () => {
  const before = process.cpuUsage()
  for (const piece of ['sk-', 'bearer ', 'eyJ', 'eyJ-', 'eyJaaaaaaaa.', 'a.', 'a://', 'a://u:', ':@', 'basic basic ']) {
    redactPatterns(piece.repeat(30_000))
  }

  expect(process.cpuUsage(before).user).toBeLessThan(500_000)
})
