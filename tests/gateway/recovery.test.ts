import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { watchRecovery } from '#gateway/recovery.ts'
import { estimateUsage } from '#gateway/settle.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

test('what broke off cost as its server has counted until then; what was only compared is estimated', () => {
  const soFar = { input: 40, cacheRead: 2000, cacheWrite: 0, output: 1, reasoning: 0, estimated: false }
  const record = recordOf({ attempts: [attemptEntry('a')], usage: null, soFar })
  const watch = watchRecovery({ clock: fakeClock(), journal: { note() {} } }, record, call())
  const error = new GatewayError('upstream_error', 'cut')

  watch.onBroken(error, 36)
  record.attempts.push(attemptEntry('b'))
  watch.onBroken(error, 72)
  record.attempts.push(attemptEntry('c'))
  watch.onRecovered('restart', { target: target('c'), model: model('chat', [target('c')]) })
  const between = record.soFar
  record.soFar = { ...soFar, input: 50 }
  watch.onBroken(error, 108)

  expect(between).toBeNull()
  expect(record.attempts.map(({ usage }) => usage)).toEqual([
    { ...soFar, output: 10, estimated: true },
    estimateUsage(call(), 72),
    { ...soFar, input: 50, output: 30, estimated: true },
  ])
})
