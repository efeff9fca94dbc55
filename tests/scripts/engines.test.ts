import { describe, expect, test } from 'bun:test'
import { compare } from '../../scripts/engines/compare.ts'

const STRATEGIES = ['round_robin', 'resident', 'affinity']

/** The 95th percentile of the time to the first token under each strategy, as a share of that of the round robin. */
function sharesOf(seed: number): Readonly<Record<string, Readonly<Record<string, number>>>> {
  return Object.fromEntries(
    compare(STRATEGIES, seed).map(({ name, results }) => {
      const usual = results.find(({ strategy }) => strategy === 'round_robin')?.p95 ?? 0
      return [name, Object.fromEntries(results.map(({ strategy, p95 }) => [strategy, p95 / usual]))]
    }),
  )
}

describe.each([1, 2, 3, 4])('four simulated servers, seed %i', seed => {
  const shares = sharesOf(seed)

  test('answer conversations at least 30 % sooner where the model is loaded, or the prompt is known', () => {
    const found = shares['60 conversations over 6 models']

    expect(found?.resident).toBeLessThanOrEqual(0.7)
    expect(found?.affinity).toBeLessThanOrEqual(0.7)
  })

  test('answer unrelated prompts no more than 5 % later', () => {
    for (const trace of ['unrelated prompts over 6 models', 'unrelated prompts, one model']) {
      expect(shares[trace]?.resident, trace).toBeLessThanOrEqual(1.05)
      expect(shares[trace]?.affinity, trace).toBeLessThanOrEqual(1.05)
    }
  })

  test('remember conversations that stay with them', () => {
    expect(shares['60 conversations, one model']?.affinity).toBeLessThanOrEqual(0.7)
  })
})

test('the same seed gives the same numbers', () => {
  expect(compare(STRATEGIES, 9)).toEqual(compare(STRATEGIES, 9))
})
