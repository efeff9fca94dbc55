import { describe, expect, test } from 'bun:test'
import { createJournal, type Fact } from '#core/journal.ts'
import type { ListedModel, Server } from '#core/servers.ts'
import { localPlaces } from '#providers/local.ts'
import type { Discovered, Discovery } from '#registry/discovery.ts'
import { createFleet, type Declaration } from '#registry/fleet.ts'
import { createStates } from '#registry/states.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { healthSettings, settings } from '#tests/support/fleet.ts'

function listed(id: string): ListedModel {
  return { id, contextLength: null, created: 0, ownedBy: null, embedding: false }
}

/** A discovery that finds what the test says. */
function fakeDiscovery() {
  let tell: (discovered: Discovered) => void = () => {}
  let last: Discovered = { found: [], missing: [{ name: 'X', address: 'x:1', why: 'nothing listens on x:1' }] }
  let started = 0
  const discovery: Discovery = {
    current: () => last,
    async start(_, onChange) {
      started++
      tell = onChange
      if (last.found.length > 0) tell(last)
    },
    stop() {
      tell = () => {}
      last = { found: [], missing: last.missing }
    },
  }
  function find(...found: readonly Server[]): void {
    last = { found, missing: [] }
    tell(last)
  }
  return { discovery, find, started: () => started }
}

function setup(more: Partial<Declaration> = {}, leads = true) {
  const clock = fakeClock()
  const facts: Fact[] = []
  const probed: string[] = []
  const found = fakeDiscovery()
  const models = new Map<string, readonly string[]>()
  const declaration: Declaration = {
    settings,
    health: healthSettings,
    servers: [],
    models: [],
    places: [],
    preload: [],
    listsHoldMs: 300_000,
    ...more,
  }
  const lists = async (id: string) => (models.get(id) ?? [`${id}-model`]).map(listed)
  const states = createStates()
  const fleet = createFleet(
    {
      clock,
      random: () => 0,
      states,
      journal: createJournal([fact => facts.push(fact)]),
      async probe({ id }) {
        probed.push(id)
        return { ok: true, latencyMs: 1, reason: null }
      },
      list: ({ id }) => (id === 'silent' ? new Promise(() => {}) : lists(id)),
      load: () => null,
      discovery: found.discovery,
      watchedOnly: new Set(['service']),
      crew: { leads: () => leads },
    },
    declaration,
  )
  return {
    ...found,
    clock,
    facts,
    models,
    probed,
    states,
    fleet,
    declaration,
    names: () => [...fleet.current().models.keys()],
  }
}

describe('the fleet', () => {
  test('is there before it has begun', () => {
    const { fleet } = setup({ servers: [server('a')] })

    expect([...fleet.current().servers.keys()]).toEqual(['a'])
    expect(fleet.current().version).toBe(1)
  })

  test('knows what its servers list once it has started', async () => {
    const { fleet, names, facts } = setup({ servers: [server('a'), server('b')] })

    await fleet.start()

    expect(names()).toEqual(['a-model', 'b-model'])
    expect(facts).toMatchObject([
      { type: 'fleet-changed', message: 'the list of a has changed (new: a-model)' },
      { type: 'fleet-changed', message: 'the list of b has changed (new: b-model)' },
    ])
  })

  test('tells which names are new with the list of a server, and which are gone', async () => {
    const { fleet, facts, models, clock } = setup({ servers: [server('a'), server('b')] })
    await fleet.start()
    models.set('a', ['b-model', 'one', 'two', 'three', 'four', 'five', 'six', 'seven'])

    clock.advance(30_000)
    await settled()

    expect(facts.flatMap(fact => (fact.type === 'fleet-changed' ? fact.message : []))).toEqual([
      'the list of a has changed (new: a-model)',
      'the list of b has changed (new: b-model)',
      'the list of a has changed (new: one, two, three, four, five and 2 more; gone: a-model)',
    ])
  })

  test('makes two snapshots of a thousand lists that come together, and waits for no silent server', async () => {
    const servers = Array.from({ length: 1000 }, (_, n) => server(`s${n}`))
    const { fleet, names, facts, clock } = setup({ servers: [...servers, server('silent')] })
    const before = fleet.current().version
    void fleet.start()
    await settled()
    clock.advance(100)

    expect(names()).toHaveLength(1000)
    expect(facts.flatMap(fact => (fact.type === 'fleet-changed' ? fact.message : []))).toEqual([
      'the list of s0 has changed (new: s0-model)',
      'the lists of s1, s2, s3, s4, s5 and 994 more have changed ' +
        '(new: s1-model, s2-model, s3-model, s4-model, s5-model and 994 more)',
    ])
    expect(fleet.current().version - before).toBe(2)

    clock.advance(30_000)
    await settled()
    clock.advance(100)
    expect(facts.filter(fact => fact.type === 'fleet-changed')).toHaveLength(2)
  })

  test('tells of its changes once where several workers see them', async () => {
    const { fleet, facts, names } = setup({ servers: [server('a')] }, false)

    await fleet.start()

    expect(names()).toEqual(['a-model'])
    expect(facts).toEqual([])
  })

  test('keeps nothing of servers that have left', () => {
    const { fleet, states } = setup({ servers: [server('a')] })
    fleet.enroll([server('b', { origin: 'registration' })])
    const [stays, leaves] = [states.server('a'), states.server('b')]

    fleet.enroll([])

    expect([states.server('a') === stays, states.server('b') === leaves]).toEqual([true, false])
  })

  test('probes every server, and asks only those that offer models', async () => {
    const { fleet, names, probed, clock } = setup({ servers: [server('a'), server('db', { kind: 'service' })] })
    await fleet.start()
    clock.advance(0)
    await settled()

    expect([probed, names()]).toEqual([['a', 'db'], ['a-model']])
  })

  test('takes in servers that are found, and lets them go again', async () => {
    const { fleet, names, find } = setup({ places: localPlaces() })
    await fleet.start()
    find(server('local', { origin: 'discovery' }))
    await settled()
    const there = names()
    find()

    expect([there, names()]).toEqual([['local-model'], []])
  })

  test('has the models of servers that are found at once when it has started', async () => {
    const { fleet, names, find } = setup({ places: localPlaces() })
    find(server('local'))

    await fleet.start()

    expect(names()).toEqual(['local-model'])
  })

  test('does not find a second time what is declared', async () => {
    const { fleet, find } = setup({
      places: localPlaces(),
      servers: [server('mine', { baseUrl: 'http://localhost:11434/v1' })],
    })
    await fleet.start()
    find(server('theirs', { baseUrl: 'http://127.0.0.1:11434' }))

    expect([...fleet.current().servers.keys()]).toEqual(['mine'])
  })

  test('replaces its declaration without touching snapshots in use', async () => {
    const { fleet, declaration, names } = setup({ servers: [server('a')] })
    await fleet.start()
    const before = fleet.current()

    fleet.replace({ ...declaration, servers: [server('b')] })
    await settled()

    expect([...before.models.keys()]).toEqual(['a-model'])
    expect(names()).toEqual(['b-model'])
    expect(fleet.current().version).toBeGreaterThan(before.version)
  })

  test('keeps the models of a server over a replacement', async () => {
    const { fleet, declaration, names } = setup({ servers: [server('a')] })
    await fleet.start()

    fleet.replace({ ...declaration, servers: [server('a')] })

    expect(names()).toEqual(['a-model'])
  })

  test('begins and ends to look as the declaration says', async () => {
    const { fleet, declaration, find, started, names } = setup({})
    await fleet.start()
    const before = started()
    fleet.replace({ ...declaration, places: localPlaces() })
    find(server('local'))
    await settled()
    const there = names()
    fleet.replace({ ...declaration, places: [] })

    expect([before, started(), there, names()]).toEqual([0, 1, ['local-model'], []])
  })

  test('tells of its servers, and of the places where none is', async () => {
    const { fleet } = setup({ servers: [server('a')], places: localPlaces() })
    await fleet.start()

    const status = fleet.status()

    expect(status.servers.map(each => [each.server.id, each.models])).toEqual([['a', ['a-model']]])
    expect(status).toMatchObject({ discovering: true, missing: [{ why: 'nothing listens on x:1' }] })
  })

  test('leaves no timer behind when it is stopped', async () => {
    const { fleet, clock } = setup({ servers: [server('a')] })
    await fleet.start()
    fleet.stop()

    expect(clock.pending).toBe(0)
  })

  test('asks servers with declared models what they say of them, and keeps its turn when that is nothing', async () => {
    const declared = {
      name: 'chat',
      targets: [{ server: 'a', model: 'a-model', weight: 1, maxConcurrent: 0, price: null, timeouts: {} }],
      aliases: [],
      fallbacks: [],
      class: null,
      capabilities: { context_length: null, tools: null, vision: null, prefill: false },
      weight: 1,
      ownedBy: null,
    }
    const { fleet, clock, names } = setup({ servers: [server('a')], models: [declared] })
    await fleet.start()
    const before = fleet.current()

    clock.advance(5000)
    await settled()

    expect(fleet.current()).toBe(before)
    expect(names()).toEqual(['chat'])
  })
})
