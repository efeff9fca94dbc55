import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createScope } from '#core/scope.ts'
import { settleCall } from '#gateway/settle.ts'
import { createDial } from '#gateway/upstream/dial.ts'
import { PROVIDERS as providers } from '#providers/index.ts'
import { call, model, slotFor, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { recordOf } from '#tests/support/records.ts'

test('who leaves before a server is dialled pays nothing, and no server hears of him', async () => {
  const clock = fakeClock()
  const scope = createScope(clock)
  const gone = new GatewayError('client_closed_request', 'Gone.')
  const record = recordOf({ dialledAt: 0, usage: null, attempts: [] })
  let asked = 0
  const transportFor = () => () => {
    asked++
    return Promise.reject(gone)
  }
  const main = target('llm', { price: { input: 1, output: 1, request: 1 } })
  const slot = slotFor({ target: main, model: model('m', [main]), reason: 'test' })
  clock.advance(10)
  scope.cancel(gone)

  const left = createDial({ providers, transportFor, clock }, record)({ call: call(), slot, scope })
  expect(await left.then(null, error => error)).toBe(gone)
  settleCall(record, call(), gone, clock)

  expect([asked, record.dialledAt, record.usage, record.costNano]).toEqual([0, 0, null, 0])
})
