import { describe, expect, test } from 'bun:test'
import { createLengths, estimateNeed } from '#gateway/limits/estimate.ts'
import { bucket } from '#tests/contract/limiter.ts'
import { call, model } from '#tests/support/calls.ts'

const chat = model('chat', [])
const asking = (more: object) => call({ body: { messages: [{ role: 'user', content: 'x'.repeat(360) }], ...more } })
const tokens = bucket({ unit: 'tokens', limit: 500 })

describe('the tokens that a call may need', () => {
  const lengths = createLengths()
  const need = (more: object, buckets = [bucket()]) => estimateNeed(asking(more), chat, lengths, buckets)

  test('are those of its prompt and all that it allows its answers', () => {
    expect(need({ max_tokens: 50 })).toBe(150)
    expect(need({ max_completion_tokens: 20 })).toBe(120)
    // Some servers know only one of them.
    expect(need({ max_completion_tokens: 20, max_tokens: 50 })).toBe(150)
    expect(need({ max_completion_tokens: 50, max_tokens: 20 })).toBe(150)
    expect(need({ max_tokens: 50, n: 3 })).toBe(250)
    expect(need({ max_tokens: 1 })).toBe(101)
  })

  test('are as many as usual where it does not say, or says nothing that counts', () => {
    expect(need({})).toBe(100 + 512)
    expect(need({ max_tokens: null })).toBe(100 + 512)
    expect(need({ max_tokens: -1 })).toBe(100 + 512)
  })

  test('are guessed no higher than a bucket can give, but what is asked for is', () => {
    expect(need({}, [bucket(), tokens])).toBe(500)
    expect(need({ max_tokens: 1000 }, [tokens])).toBe(1100)
    expect(need({}, [{ ...tokens, burst: 10 }])).toBe(100)
    expect(need({}, [{ ...tokens, burst: 300 }, tokens])).toBe(300)
  })

  test('are those of every answer that is written, shown or not, to each of its prompts', () => {
    const completion = (body: object) =>
      estimateNeed(call({ endpoint: 'completions', body: { max_tokens: 50, ...body } }), chat, lengths, [])

    expect(completion({ prompt: 'x'.repeat(36) })).toBe(10 + 50)
    expect(completion({ prompt: ['x'.repeat(18), 'x'.repeat(18)] })).toBe(10 + 100)
    expect(completion({ prompt: ['x'.repeat(18), 'x'.repeat(18)], n: 2 })).toBe(10 + 200)
    expect(completion({ prompt: 'x'.repeat(36), n: 2, best_of: 20 })).toBe(10 + 1000)
    expect(completion({ prompt: [1, 2, 3, 4, 5, 6, 7, 8, 9] })).toBe(10 + 50)
    expect(
      completion({
        prompt: [
          [1, 2, 3, 4, 5, 6],
          [7, 8, 9],
        ],
      }),
    ).toBe(10 + 100)
  })

  test('are those of the tools too that a model reads with its prompt', () => {
    const look = { name: 'look', description: 'y'.repeat(356) }

    expect(need({ max_tokens: 50, tools: [{ type: 'function', function: look }] })).toBe(250)
    expect(need({ max_tokens: 50, functions: [look] })).toBe(250)
  })

  test('are those of its input for embeddings', () => {
    const embedding = call({ endpoint: 'embeddings', body: { input: ['x'.repeat(36), 'x'.repeat(36)] } })

    expect(estimateNeed(embedding, chat, lengths, [])).toBe(20)
  })
})

describe('the usual length', () => {
  test('comes near to what most answers have', () => {
    const lengths = createLengths()
    lengths.note('chat', 5000)
    for (let answer = 0; answer < 500; answer++) lengths.note('chat', 100 + (answer % 5) * 10)

    expect(lengths.usual('chat')).toBeGreaterThan(120)
    expect(lengths.usual('chat')).toBeLessThan(170)
    expect(lengths.usual('other')).toBe(512)
  })

  test('is hardly moved by one answer, however long it is', () => {
    const lengths = createLengths()
    for (let answer = 0; answer < 500; answer++) lengths.note('chat', 100)
    lengths.note('chat', 1100)

    expect(lengths.usual('chat')).toBeLessThan(260)
  })
})
