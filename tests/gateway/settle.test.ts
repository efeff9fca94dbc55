import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { estimateUsage, settleCall } from '#gateway/settle.ts'
import { call } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

describe('the end of a call', () => {
  test('ends every attempt that was under way when the caller left', () => {
    const clock = fakeClock()
    clock.advance(100)
    const running = ['a', 'b'].map((server, at) => attemptEntry(server, { startedAt: at * 30, ms: 0, result: null }))
    const record = recordOf({ attempts: [attemptEntry('c', { result: 'upstream_error' }), ...running] })

    settleCall(record, call(), new GatewayError('client_closed_request', 'gone'), clock)

    expect(record.outcome).toBe('cancelled')
    expect(record.attempts.map(({ result, ms }) => [result, ms])).toEqual([
      ['upstream_error', 20],
      ['client_closed_request', 100],
      ['client_closed_request', 70],
    ])
  })

  test('is paid for what was said, though its caller has read less of it', () => {
    const record = recordOf({ usage: null, contentChars: 10, contentFrames: 1, saidChars: 4000 })

    settleCall(record, call(), new GatewayError('client_closed_request', 'gone'), fakeClock())

    expect(record.usage).toEqual(estimateUsage(call(), 4000))
  })

  test('of one who took over an answer, and left before it came, is paid for the prompt', () => {
    const began = recordOf({ passedOn: true })
    const gone = new GatewayError('client_closed_request', 'gone')
    const heir = recordOf({ usage: null, attempts: [], dialledAt: 0, heirOf: began })
    const early = recordOf({ usage: null, attempts: [], dialledAt: 0 })
    for (const record of [heir, early]) settleCall(record, call(), gone, fakeClock())

    expect([heir.usage, early.usage]).toEqual([estimateUsage(call(), 0), null])
  })

  test('puts the prompt that a slower server has read down to the operator, not to the caller', () => {
    const record = recordOf({ attempts: [attemptEntry('a', { result: 'lost' }), attemptEntry('b')] })
    const { usage } = record

    settleCall(record, call(), null, fakeClock())

    expect(record.usage).toBe(usage)
    expect(record.attempts.map(attempt => attempt.usage)).toEqual([estimateUsage(call(), 0), undefined])
  })
})
