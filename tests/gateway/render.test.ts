import { expect, test } from 'bun:test'
import type { Live } from '#core/attempt.ts'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { renderStream } from '#gateway/render.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
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
  const stream = renderStream(live, call(), { ...of, early: true, onEnd })

  scope.cancel(new GatewayError('client_closed_request', 'The client closed the request.'))
  await stream.write({ write: piece => written.push(piece), flush: () => 0, end: () => written.push('end') })
  clock.advance(120_000)

  expect([errors, closed, written, clock.pending]).toEqual([['client_closed_request'], 1, [], 0])
})
