import { expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { renderStream } from '#gateway/render.ts'
import { call, frame, liveOf, model, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

test('a client that has left before its stream is handed over is written nothing, and leaves no timer', async () => {
  const clock = fakeClock()
  const scope = createScope(clock)
  const [errors, written]: [unknown[], unknown[]] = [[], []]
  let closed = 0
  const live: Live = {
    target: target('llm'),
    model: model('chat', []),
    next: () => new Promise(() => {}),
    close: () => void closed++,
  }
  const onEnd = (error: GatewayError | null) => void errors.push(error?.code)
  const of = { clock, record: recordOf({}), scope, heartbeatMs: 15_000 }
  const stream = await renderStream(live, call(), { ...of, early: true, onEnd })

  scope.cancel(new GatewayError('client_closed_request', 'The client closed the request.'))
  await stream.write({ write: piece => written.push(piece), flush: () => 0, end: () => written.push('end') })
  clock.advance(120_000)

  expect([errors, closed, written, clock.pending]).toEqual([['client_closed_request'], 1, [], 0])
})

test('nothing is counted any more once a client that has stopped reading is given up', async () => {
  const clock = fakeClock()
  const record = recordOf({})
  const settledWith: number[] = []
  const stream = await renderStream(liveOf([[frame('delta', 'one')], [frame('delta', 'two')]]), call(), {
    ...{ clock, record, scope: createScope(clock), heartbeatMs: 0, early: false },
    onEnd: () => void settledWith.push(record.contentFrames),
  })

  const writing = stream.write({ write: () => new Promise(() => {}), flush: () => 0, end: () => 0 })
  await settled()
  clock.advance(60_000)

  await expect(writing).rejects.toMatchObject({ code: 'client_closed_request' })
  expect([...settledWith, record.contentFrames]).toEqual([1, 1])
})

test('what is there when the writing begins is written before anything else is waited for', async () => {
  const clock = fakeClock()
  const written: (string | Uint8Array)[] = []
  const stream = await renderStream(liveOf([[frame('delta', 'one')], [frame('delta', 'two')]]), call(), {
    ...{ clock, record: recordOf({}), scope: createScope(clock), heartbeatMs: 0, early: false },
    onEnd: () => {},
  })

  const writing = stream.write({ write: piece => written.push(piece), flush: () => 0, end: () => 0 })
  const atOnce = [...written]
  await writing

  expect(atOnce).toEqual(written.slice(0, 1))
  expect(written).toEqual([frame('delta', 'one').text, frame('delta', 'two').text, 'data: [DONE]\n\n'])
})
