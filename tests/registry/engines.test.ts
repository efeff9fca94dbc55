import { describe, expect, test } from 'bun:test'
import type { Reading } from '#core/states.ts'
import { createEngines, type Source } from '#registry/engines.ts'
import { createStates } from '#registry/states.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const a = server('a')

/** A server whose places answer like this, one after the other; an error is thrown. */
function setup(...answers: readonly (Reading | null | Error)[]) {
  const clock = fakeClock()
  const states = createStates()
  const asked: number[] = []
  const sources = answers.map(
    (answer, index): Source =>
      async () => {
        asked.push(index)
        if (answer instanceof Error) throw answer
        return answer
      },
  )
  return { clock, asked, state: states.server('a'), engines: createEngines({ clock, states, sources: () => sources }) }
}

describe('what a server tells of itself', () => {
  test('counts the calls at it that are not ours', async () => {
    const { engines, state } = setup({ calls: 5, loaded: null })
    state.inFlight = 2

    await engines.read(a)

    expect(state).toMatchObject({ others: 3, loaded: null })
  })

  test('says which models are in memory, and that a load is over', async () => {
    const { engines, state } = setup({ calls: null, loaded: ['m'] })
    state.loading = 'm'

    await engines.read(a)

    expect(state).toMatchObject({ others: 0, loaded: new Set(['m']), loading: null })
  })

  test('is looked for place by place, and then where it was found', async () => {
    const { engines, asked } = setup(null, { calls: 1, loaded: null }, { calls: 9, loaded: null })

    await engines.read(a)
    await engines.read(a)

    expect(asked).toEqual([0, 1, 1])
  })

  test('is asked for once where it tells nothing', async () => {
    const { engines, asked } = setup(null, null)

    await engines.read(a)
    await engines.read(a)

    expect(asked).toEqual([0, 1])
  })

  test('is asked for again when it could not be asked, and counts for nothing until then', async () => {
    const { engines, asked, state } = setup(new Error('refused'))
    state.others = 4

    await engines.read(a)
    await engines.read(a)

    expect([asked, state.others]).toEqual([[0, 0], 0])
  })

  test('is read soon, once, after several have asked for it', async () => {
    const { engines, clock, asked } = setup({ calls: null, loaded: [] })

    engines.readSoon(a)
    engines.readSoon(a)
    clock.advance(1000)
    await settled()
    engines.readSoon(a)
    clock.advance(1000)
    await settled()

    expect(asked).toEqual([0, 0])
  })
})
