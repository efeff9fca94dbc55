import { describe, expect, test } from 'bun:test'
import type { Bucket } from '#core/limiter.ts'
import { createRedisDecisions } from '#stores/redis-decisions.ts'
import { bucket } from '#tests/contract/limiter.ts'
import { settled } from '#tests/support/clock.ts'

/** A Redis that answers when it is told to. */
function decisionsOf() {
  const answers: PromiseWithResolvers<unknown>[] = []
  const unsettled: (readonly Bucket[])[] = []
  const decisions = createRedisDecisions({
    call() {
      const answer = Promise.withResolvers<unknown>()
      answers.push(answer)
      return answer.promise
    },
    time: () => 0,
    onUnsettled: buckets => unsettled.push(buckets),
  })
  const told: string[] = []
  const ask = (name: string, buckets: readonly Bucket[]) =>
    decisions.ask({
      ...{ buckets, tokens: 0, owner: name },
      decide: (refused, debts) => told.push(`${name}: ${refused} ${debts.join(' ')}`),
      giveUp: () => told.push(`${name}: unknown`),
    })
  const settle = () => decisions.settle([bucket()], { requests: 0, tokens: 0 }, 'owner')
  return { decisions, answers, unsettled, told, ask, settle }
}

describe('decisions of Redis', () => {
  test('that are asked for in one turn of the event loop are one call, and each gets its own answer', async () => {
    const { answers, told, ask } = decisionsOf()
    ask('one', [bucket(), bucket({ key: 'other' })])
    ask('two', [bucket({ key: 'other' })])
    const before = answers.length
    await settled(2)
    answers[0]?.resolve('[0,1.5,2,1,3]')
    await settled(2)

    expect([before, answers.length]).toEqual([0, 1])
    expect(told).toEqual(['one: 0 1.5 2', 'two: 1 3'])
  })

  test('do not wait for the answers to earlier ones', async () => {
    const { answers, ask } = decisionsOf()
    ask('one', [bucket()])
    await settled(2)
    ask('two', [bucket()])
    await settled(2)

    expect(answers).toHaveLength(2)
  })

  test('that are too many for one script are several calls', async () => {
    const { answers, ask } = decisionsOf()
    for (let request = 0; request < 1001; request++) ask(`${request}`, [bucket()])
    await settled(2)

    expect(answers).toHaveLength(3)
  })

  test('that only settle are sent while no decision is open, or after its answer', async () => {
    const { answers, settle } = decisionsOf()
    settle()
    await settled(2)
    settle()
    settle()
    await settled(2)
    const before = answers.length
    answers[0]?.resolve('{}')
    await settled(4)

    expect([before, answers.length]).toEqual([1, 2])
  })

  test('that get no answer are given up, and their settlements are reported', async () => {
    const { answers, unsettled, told, ask, settle } = decisionsOf()
    ask('one', [bucket()])
    settle()
    await settled(2)
    answers[0]?.reject(new Error('away'))
    await settled(2)

    expect([told, unsettled]).toEqual([['one: unknown'], [[bucket()]]])
  })
})
