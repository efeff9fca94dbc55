import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { prefixKey } from '#routing/prefix.ts'
import { affinity } from '#routing/strategies/affinity.ts'
import { anyone, call, model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { candidatesOf, snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'
import { prompted, strategyContext } from '#tests/support/strategies.ts'

function first(candidates: readonly Candidate[], own: ReturnType<typeof strategyContext>, asked: Call) {
  const [chosen] = affinity.order(candidates, { ...own, call: asked })
  if (chosen === undefined) throw new Error('nobody was chosen')
  return chosen
}

/** Sends 10,000 calls of so many conversations, up to `atOnce` of them in flight at a time. */
function send(conversations: number, atOnce: number, seed: number) {
  const candidates = candidatesOf([1, 1, 1, 1])
  const own = strategyContext(seed)
  const random = seeded(seed)
  const running: Candidate[] = []
  const perServer = new Map<Candidate, number>()
  const perConversation = new Map<number, Map<Candidate, number>>()
  for (let each = 0; each < 10_000; each++) {
    const conversation = Math.floor(random() * conversations)
    const chosen = first(candidates, own, prompted(`Conversation ${conversation}`))
    perServer.set(chosen, (perServer.get(chosen) ?? 0) + 1)
    const places = perConversation.get(conversation) ?? new Map<Candidate, number>()
    perConversation.set(conversation, places.set(chosen, (places.get(chosen) ?? 0) + 1))
    const state = own.states.target(chosen.target)
    state.inFlight++
    state.server.inFlight++
    running.push(chosen)
    if (running.length <= random() * atOnce) continue
    const [done] = running.splice(Math.floor(random() * running.length), 1)
    if (done === undefined) continue
    own.states.target(done.target).inFlight--
    own.states.target(done.target).server.inFlight--
  }
  const kept = [...perConversation.values()].reduce((sum, places) => sum + Math.max(...places.values()), 0)
  return { kept: kept / 10_000, highest: Math.max(...perServer.values()) / 2500 }
}

describe('affinity', () => {
  test('keeps nine of ten calls that begin alike on one server, and none above 1.25 times the mean', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 600 }),
        fc.integer({ min: 1, max: 16 }),
        fc.nat(),
        (many, atOnce, seed) => {
          const { kept, highest } = send(many, atOnce, seed)

          expect(kept).toBeGreaterThanOrEqual(0.9)
          expect(highest).toBeLessThanOrEqual(1.25)
        },
      ),
      { numRuns: 25 },
    )
  })

  test('goes on with a conversation where it began, however it goes on', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const own = strategyContext()
    const system = { role: 'system', content: 'Be brief.' }
    const turns = ['Hello', 'Hi', 'How are you?', 'Fine', 'Good'].map((content, index) => ({
      role: index % 2 === 0 ? 'user' : 'assistant',
      content,
    }))
    const places = [1, 3, 5].map(length => {
      for (let other = 0; other < 20; other++) first(candidates, own, prompted(`Other ${length} ${other}`))
      return first(candidates, own, call({ body: { messages: [system, ...turns.slice(0, length)] } }))
    })

    expect(new Set(places).size).toBe(1)
  })

  test('gives new prompts out by weight', () => {
    const candidates = candidatesOf([1, 2, 3, 4])
    const own = strategyContext()
    const counts = candidates.map(() => 0)
    for (let each = 0; each < 4000; each++) {
      const chosen = candidates.indexOf(first(candidates, own, prompted(`Prompt ${each}`)))
      counts[chosen] = (counts[chosen] ?? 0) + 1
    }

    for (const [index, count] of counts.entries()) expect(Math.abs(count - 400 * (index + 1))).toBeLessThan(40)
  })

  test('gives a new prompt to the less used of its first two places', () => {
    const candidates = candidatesOf([1, 2])
    const used = (one: number, two: number) => {
      const chosen = Array.from({ length: 40 }, (_, each) => {
        const turns = new Map(candidates.map((candidate, at) => [candidate, at === 0 ? one : two]))
        return first(candidates, strategyContext(1, { turns }), prompted(`Prompt ${each}`))
      })
      return candidates.map(candidate => chosen.filter(each => each === candidate).length)
    }

    // By weight: two calls of the second one are one of the first.
    expect(used(2, 3)).toEqual([0, 40])
    expect(used(1, 3)).toEqual([40, 0])
  })

  test('counts the calls of others as load', () => {
    const candidates = candidatesOf([1, 1])
    const own = strategyContext()
    own.states.server('s0').others = 9
    const chosen = Array.from({ length: 4 }, (_, each) => first(candidates, own, prompted(`Prompt ${each}`)))

    expect(new Set(chosen)).toEqual(new Set(candidates.slice(1)))
  })

  test('sends a new prompt to no server with more than 1.25 times its share of the calls in flight', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const own = strategyContext()
    const busy = (index: number, calls: number) => {
      for (const [at, { target }] of candidates.entries())
        own.states.target(target).inFlight = at === index ? calls : 10
      const chosen = Array.from({ length: 40 }, (_, each) =>
        first(candidates, own, prompted(`${calls} ${index} ${each}`)),
      )
      return chosen.filter(each => each === candidates[index]).length
    }

    // Three others with 10 each: 14 may become 15, which 1.25 times a fair share is with the new call; 15 may not become 16.
    expect([0, 1, 2, 3].map(index => busy(index, 14) > 0)).toEqual([true, true, true, true])
    expect([0, 1, 2, 3].map(index => busy(index, 15))).toEqual([0, 0, 0, 0])
  })

  test('keeps a prompt at its home up to eight calls there or twice its share, and leaves it for as long as there are more', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const own = strategyContext()
    for (const candidate of candidates) own.turns.set(candidate, 100)
    const home = first(candidates, own, prompted('Hello'))
    const stays = (calls: number, others: number) => {
      for (const { target } of candidates) own.states.target(target).inFlight = target === home.target ? calls : others
      return first(candidates, own, prompted('Hello')) === home
    }

    expect([stays(7, 0), stays(8, 0), stays(7, 0)]).toEqual([true, false, true])
    expect([stays(47, 16), stays(48, 16), stays(47, 16)]).toEqual([true, false, true])
  })

  test('agrees with another gateway about new prompts while nothing is busy', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    fc.assert(
      fc.property(fc.string(), content => {
        const places = [1, 2].map(seed => first(candidates, strategyContext(seed), prompted(content)))
        expect(places[0]).toBe(places[1] as Candidate)
      }),
    )
  })

  test('keeps the places of most prompts when a server goes', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const prompts = Array.from({ length: 400 }, (_, index) => prompted(`Prompt ${index}`))
    const place = (open: readonly Candidate[], asked: Call) => first(open, strategyContext(), asked)
    const stayed = prompts.filter(asked => {
      const before = place(candidates, asked)
      return before !== candidates[3] && place(candidates.slice(0, 3), asked) === before
    })
    const elsewhere = prompts.filter(asked => place(candidates, asked) !== candidates[3])

    expect(stayed.length).toBe(elsewhere.length)
  })

  test('places the prompts of tenants apart', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const of = (tenant: string) => (content: string) =>
      first(candidates, strategyContext(), prompted(content, { caller: { ...anyone, tenant } }))
    const prompts = Array.from({ length: 200 }, (_, index) => `Prompt ${index}`)
    const alike = prompts.filter(content => of('a')(content) === of('b')(content)).length

    expect(alike).toBeWithin(20, 90)
  })

  test('leaves a server that would have to load the model, and stays where it went', () => {
    const candidates = candidatesOf([1, 1, 1])
    const own = strategyContext()
    const home = first(candidates, own, prompted('Hello'))
    for (const { target } of candidates) own.states.server(target.server.id).loaded = new Set(['m'])
    own.states.server(home.target.server.id).loaded = new Set(['other'])
    const next = first(candidates, own, prompted('Hello'))
    own.states.server(home.target.server.id).loaded = new Set(['m'])

    expect(next).not.toBe(home)
    expect(first(candidates, own, prompted('Hello'))).toBe(next)
  })

  test('leaves a server for good that had more than 1.2 times its share of the last calls, and four', () => {
    const candidates = candidatesOf([1, 1, 1, 1])
    const own = strategyContext()
    const home = first(candidates, own, prompted('Hello'))
    const used = (calls: number) => {
      for (const candidate of candidates) own.turns.set(candidate, candidate === home ? calls : 100)
      return first(candidates, own, prompted('Hello'))
    }

    // With this call 134 of 434, of which a fourth, by 1.2 and four more, is 134.2; then 135 of 435 and 134.5.
    expect([used(133), used(134)].map(each => each === home)).toEqual([true, false])
    expect(used(100)).not.toBe(home)
  })

  test('keeps a prompt where it is when the fleet changes', () => {
    const states = createStates()
    const deps = { clock: fakeClock(), random: seeded(1), lineups: createLineups() }
    const fleet = () =>
      snapshotOf(
        [
          model(
            'm',
            ['a', 'b', 'c'].map(id => targetOf(`${id}/m`)),
          ),
        ],
        { algorithm: 'affinity' },
      )
    const places = () => {
      const snapshot = fleet()
      const place = (index: number) =>
        plan(prompted(`Prompt ${index}`), snapshot, states, deps).candidates[0]?.target.id
      return Array.from({ length: 60 }, (_, index) => place(index))
    }

    expect(places()).toEqual(places())
  })

  test('remembers the ten thousand prompts that came last', () => {
    const [candidates, own] = [candidatesOf([1, 1]), strategyContext()]
    for (const each of [...Array(10_000).keys(), 0, 10_000]) first(candidates, own, prompted(`${each}`))

    expect(own.homes.size).toBe(10_000)
    expect([0, 1].map(each => own.homes.has(prefixKey(prompted(`${each}`)) ?? 0))).toEqual([true, false])
  })

  test('spreads calls without a prompt to remember by load', () => {
    const candidates = candidatesOf([1, 1])
    const own = strategyContext()
    const [busy] = candidates
    if (busy !== undefined) own.states.target(busy.target).inFlight = 2

    expect(first(candidates, own, call({ endpoint: 'embeddings', body: { input: 'x' } }))).not.toBe(busy)
  })
})
