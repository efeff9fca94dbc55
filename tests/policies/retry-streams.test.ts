import { describe, expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { limited, over } from '#tests/support/retries.ts'

describe('the attempts of a stream', () => {
  test('one attempt of a stream is kept for its recovery', async () => {
    const keepOne = { retry: { keepOne: true }, call: { stream: true } }
    const spent = await over({ a: ['upstream_error'] }, keepOne)
    const plain = await over({ a: ['upstream_error'] }, { ...keepOne, call: {} })
    const { run, tried, error } = await over({ a: ['upstream_error'], b: ['upstream_error', 'ok'] }, keepOne)

    expect([spent.tried.length, plain.tried.length]).toEqual([3, 4])
    expect([error?.code ?? null, tried]).toEqual(['all_targets_failed', ['a 0', 'b 0', 'a 0']])
    await expect(run.next()).rejects.toMatchObject({ code: 'all_targets_failed' })
  })

  test('the kept attempt is used after a break, and none is kept when only one is allowed', async () => {
    const keepOne = { retry: { keepOne: true }, call: { stream: true } }
    const { run, tried } = await over(
      { a: ['upstream_error'], b: ['upstream_error'], c: ['ok'], d: ['ok'], e: ['ok'] },
      keepOne,
    )
    const single = await over({ a: ['ok'] }, { ...keepOne, maxAttempts: 1 })

    await run.next()

    expect(tried).toEqual(['a 0', 'b 0', 'c 0', 'd 0'])
    await expect(run.next()).rejects.toBeInstanceOf(GatewayError)
    expect([single.error, single.tried]).toEqual([null, ['a 0']])
  })

  test('after a break, the target that broke off is not tried again', async () => {
    const keepOne = { retry: { keepOne: true }, call: { stream: true } }
    const { run, tried } = await over({ a: ['ok'], b: ['ok'] }, keepOne)
    const again = await over({ a: ['upstream_error', 'ok'] }, keepOne)

    await run.next()

    for (const each of [run, again.run]) await expect(each.next()).rejects.toBeInstanceOf(GatewayError)
    expect([tried, again.tried]).toEqual([
      ['a 0', 'b 0'],
      ['a 0', 'a 0'],
    ])
  })

  test('after a break, that target is not tried again as part of a fallback model either', async () => {
    const shared = { shared: ['a'], retry: { keepOne: true }, call: { stream: true } }
    const untried = await over({ a: ['ok'], b: ['ok'] }, shared)
    const rested = await over({ a: [limited(50), 'ok'] }, shared)
    await untried.run.next()

    for (const { run } of [untried, rested]) await expect(run.next()).rejects.toBeInstanceOf(GatewayError)
    expect([untried.tried, rested.tried]).toEqual([
      ['a 0', 'b 0'],
      ['a 0', 'a 50'],
    ])
  })
})
