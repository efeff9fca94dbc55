import { expect, test } from 'bun:test'
import type { Frame } from '#core/frame.ts'
import { convert } from '#gateway/answers/convert.ts'
import { call, frame, liveOf } from '#tests/support/calls.ts'

const stream = { stream: true, wantsUsage: false }
const piece = 'x'.repeat(1024 * 1024)

async function plainOf(batches: readonly (readonly Frame[])[]): Promise<readonly Frame[]> {
  return convert(liveOf(batches), stream, call({ stream: false })).next()
}

test('a stream that somebody else asked for comes as one plain answer', async () => {
  const [whole] = await plainOf([[frame('start')], [frame('delta', 'a'), frame('delta', 'b')], [frame('finish')]])

  expect(whole).toMatchObject({ kind: 'finish', chunk: { choices: [{ message: { content: 'ab' } }] } })
})

test('one without end is not read to its end', async () => {
  const pieces = Array.from({ length: 20 }, () => [frame('delta', piece)])

  const [told] = await plainOf([[frame('start')], ...pieces, [frame('finish')]])

  expect(told).toMatchObject({ kind: 'error', error: { code: 'upstream_invalid_response' } })
})
