import { describe, expect, test } from 'bun:test'
import { toPrice } from '#core/cost.ts'
import type { DeclaredModel, DeclaredTarget } from '#core/declared.ts'
import type { ListedModel } from '#core/servers.ts'
import { buildSnapshot, type SnapshotSource, undeclaredServers } from '#registry/snapshot.ts'
import { server, timeouts } from '#tests/support/calls.ts'
import { settings } from '#tests/support/fleet.ts'

function declaredTarget(id: string, model: string, more: Partial<DeclaredTarget> = {}): DeclaredTarget {
  return { server: id, model, weight: 1, maxConcurrent: 0, price: null, timeouts: {}, ...more }
}

function declared(name: string, targets: readonly DeclaredTarget[], more: Partial<DeclaredModel> = {}): DeclaredModel {
  return {
    name,
    targets,
    aliases: [],
    fallbacks: [],
    class: null,
    capabilities: { context_length: null, tools: null, vision: null, prefill: false },
    weight: 1,
    ownedBy: null,
    ...more,
  }
}

function listed(id: string, more: Partial<ListedModel> = {}): ListedModel {
  return { id, contextLength: null, created: 0, ownedBy: null, embedding: false, ...more }
}

function build(more: Partial<SnapshotSource>) {
  return buildSnapshot({ version: 1, settings, servers: [], declaredModels: [], listed: new Map(), ...more })
}

test('a declared model is hedged as it says, a listed one as the general settings say', () => {
  const general = { after: { percentile: 95 }, maxPercent: 5 }
  const own = { after: { ms: 0 }, maxPercent: 100 }
  const { models } = build({
    settings: { ...settings, hedging: general },
    servers: [server('llm'), server('gpu')],
    declaredModels: [
      declared('chat', [declaredTarget('llm', 'm')], { hedging: own }),
      declared('calm', [declaredTarget('llm', 'm')], { hedging: null }),
    ],
    listed: new Map([['gpu', [listed('found')]]]),
  })

  expect([...models.values()].map(({ name, hedging }) => [name, hedging])).toEqual([
    ['chat', own],
    ['calm', null],
    ['found', general],
  ])
})

describe('a declared model', () => {
  test('has its targets, with the clocks of the server unless it has its own', () => {
    const { models } = build({
      servers: [server('llm', { weight: 2 })],
      declaredModels: [
        declared('chat', [declaredTarget('llm', 'mixtral', { weight: 3, maxConcurrent: 4, timeouts: { idle: 7 } })]),
      ],
    })

    expect(models.get('chat')).toMatchObject({
      ownedBy: 'llm',
      eligible: true,
      targets: [
        {
          id: 'llm/mixtral',
          upstreamModel: 'mixtral',
          weight: 6,
          maxConcurrent: 4,
          timeouts: { ...timeouts, idle: 7 },
        },
      ],
    })
  })

  test('is found by its aliases and by server/model', () => {
    const { names } = build({
      servers: [server('llm')],
      declaredModels: [declared('chat', [declaredTarget('llm', 'mixtral')], { aliases: ['gpt-4o'] })],
    })

    expect(Object.fromEntries(names)).toEqual({ 'gpt-4o': 'chat', 'llm/mixtral': 'chat' })
  })

  test('loses targets on servers that do not exist, and repetitions', () => {
    const { models } = build({
      servers: [server('llm')],
      declaredModels: [
        declared('chat', [declaredTarget('gone', 'm'), declaredTarget('llm', 'm'), declaredTarget('llm', 'm')]),
      ],
    })

    expect(models.get('chat')?.targets.map(target => target.id)).toEqual(['llm/m'])
  })

  test('learns from its servers what is not declared', () => {
    const { models } = build({
      servers: [server('a'), server('b')],
      declaredModels: [declared('embed', [declaredTarget('a', 'm'), declaredTarget('b', 'm')])],
      listed: new Map([
        ['a', [listed('m', { contextLength: 8192, embedding: true })]],
        ['b', [listed('m', { contextLength: 2048, embedding: true })]],
      ]),
    })

    expect(models.get('embed')).toMatchObject({ class: 'embedding', capabilities: { context_length: 2048 } })
  })

  test('keeps what is declared', () => {
    const capabilities = { context_length: 100, tools: true, vision: null, prefill: false }
    const { models } = build({
      servers: [server('a')],
      declaredModels: [declared('m', [declaredTarget('a', 'm')], { class: 'lightweight', capabilities })],
      listed: new Map([['a', [listed('m', { contextLength: 8192, embedding: true })]]]),
    })

    expect(models.get('m')).toMatchObject({ class: 'lightweight', capabilities })
  })

  test('gives an alias that several want to the first', () => {
    const { names } = build({
      servers: [server('a')],
      declaredModels: [
        declared('one', [declaredTarget('a', 'x')], { aliases: ['both', 'two'] }),
        declared('two', [declaredTarget('a', 'y')], { aliases: ['both'] }),
      ],
    })

    expect([names.get('both'), names.has('two')]).toEqual(['one', false])
  })
})

describe('a server without declared models', () => {
  test('offers what it lists', () => {
    const { models, names, targets } = build({
      servers: [server('llm')],
      listed: new Map([['llm', [listed('phi3:latest', { ownedBy: 'someone', created: 7, contextLength: 4096 })]]]),
    })

    expect(models.get('phi3:latest')).toMatchObject({
      ownedBy: 'someone',
      created: 7,
      capabilities: { context_length: 4096 },
    })
    expect(Object.fromEntries(names)).toEqual({ phi3: 'phi3:latest', 'llm/phi3:latest': 'phi3:latest' })
    expect([...targets.keys()]).toEqual(['llm/phi3:latest'])
  })

  test('shares a name with others that list the same', () => {
    const { models } = build({
      servers: [server('a'), server('b', { weight: 3 })],
      listed: new Map([
        ['a', [listed('m')]],
        ['b', [listed('m')]],
      ]),
    })

    expect(models.get('m')?.targets.map(({ id, weight }) => [id, weight])).toEqual([
      ['a/m', 1],
      ['b/m', 3],
    ])
  })

  test.each([
    ['a declared model', 'chat'],
    ['an alias', 'gpt-4o'],
    ['the word for any model', 'auto'],
  ])('gives way where %s has the name', (_, name) => {
    const { models, names } = build({
      servers: [server('a'), server('b')],
      declaredModels: [declared('chat', [declaredTarget('a', 'm')], { aliases: ['gpt-4o'] })],
      listed: new Map([['b', [listed(name)]]]),
    })

    expect(models.get(`b/${name}`)?.targets.map(target => target.id)).toEqual([`b/${name}`])
    expect(models.get('chat')?.targets).toHaveLength(1)
    expect(names.get('auto')).toBeUndefined()
  })

  test('is one on which no declared model has a target', () => {
    const all = [server('a'), server('b')]

    expect(undeclaredServers(all, [declared('m', [declaredTarget('a', 'm')])])).toEqual([all[1] ?? server('b')])
  })

  test('lists nothing beside declared models', () => {
    const { models } = build({
      servers: [server('a')],
      declaredModels: [declared('m', [declaredTarget('a', 'm')])],
      listed: new Map([['a', [listed('other')]]]),
    })

    expect([...models.keys()]).toEqual(['m'])
  })
})

describe('a model that is only used when it is named', () => {
  test('lives on built-in servers, or on those of certain kinds', () => {
    const { models } = build({
      servers: [server('own', { origin: 'built-in' }), server('odd', { kind: 'odd' }), server('llm')],
      listed: new Map([
        ['own', [listed('a'), listed('both')]],
        ['odd', [listed('b')]],
        ['llm', [listed('c'), listed('both')]],
      ]),
      namedOnly: new Set(['odd']),
    })

    expect([...models.values()].map(({ name, eligible }) => [name, eligible])).toEqual([
      ['a', false],
      ['both', true],
      ['b', false],
      ['c', true],
    ])
  })
})

describe('what a target can do', () => {
  const abilities = { context_length: 1000, tools: true, vision: null, json_schema: false }
  const price = { input: 1, output: 2, request: 0 }
  const knowledge = () => ({ abilities, price })
  const unknown = { context_length: null, tools: null, vision: null, prefill: false }

  test('is what the operator says, else its server, else what is known', () => {
    const { targets, models } = build({
      knowledge,
      servers: [server('llm')],
      declaredModels: [
        declared('chat', [declaredTarget('llm', 'm')], {
          capabilities: { ...unknown, context_length: 500, tools: false },
        }),
      ],
      listed: new Map([['llm', [listed('m', { contextLength: 700, abilities: { vision: true, json_schema: true } })]]]),
    })

    expect(targets.get('llm/m')?.abilities).toEqual({
      context_length: 500,
      tools: false,
      vision: true,
      // Its dialect has no words for it, whatever the server can do.
      json_schema: false,
    })
    expect(models.get('chat')?.capabilities).toMatchObject({ context_length: 500, tools: false, vision: true })
  })

  test('is known of listed models too, with their price', () => {
    const { targets, models } = build({
      knowledge,
      servers: [server('llm')],
      listed: new Map([['llm', [listed('m', { contextLength: 700, loaded: true })]]]),
    })

    expect(targets.get('llm/m')).toMatchObject({
      abilities: { ...abilities, context_length: 700 },
      price,
      loaded: true,
    })
    expect(models.get('m')?.capabilities).toMatchObject({ context_length: 700, tools: true, vision: null })
  })

  test('is what at least one target of a model can, since such calls go there', () => {
    const { models } = build({
      servers: [server('a'), server('b')],
      listed: new Map([
        ['a', [listed('m', { abilities: { tools: true, vision: false } })]],
        ['b', [listed('m', { abilities: { tools: false, vision: false } })]],
      ]),
    })

    expect(models.get('m')?.capabilities).toMatchObject({ tools: true, vision: false })
  })

  test('does not override the price that the operator gives', () => {
    const own = { input: 9, output: 9, request: 0 }

    const { targets } = build({
      knowledge,
      servers: [server('llm')],
      declaredModels: [declared('chat', [declaredTarget('llm', 'm', { price: own })])],
    })

    expect(targets.get('llm/m')?.price).toEqual(own)
  })

  test('of another model that the server asks beside is that of its own target, else as it is known', () => {
    const own = { input: 9, output: 9, request: 0 }

    const { targets } = build({
      knowledge,
      servers: [server('llm'), server('other')],
      declaredModels: [
        declared('chat', [declaredTarget('llm', 'm')]),
        declared('large', [declaredTarget('llm', 'l', { price: own }), declaredTarget('other', 'n', { price: own })]),
      ],
    })

    const beside = targets.get('llm/m')?.priceBeside
    expect([beside?.('l'), beside?.('n')]).toEqual([own, price])
  })

  test.each([
    [undefined, 0.01],
    [0.5, 0.5],
    [0, 0],
  ])('adds only what a search costs, which the provider asks of everybody: %p is %p', (search, expected) => {
    const own = { input: 9, output: 9, request: 0, ...(search !== undefined && { search }) }

    const { targets } = build({
      knowledge: () => ({ abilities, price: { ...price, search: 0.01 } }),
      servers: [server('llm')],
      declaredModels: [declared('chat', [declaredTarget('llm', 'm', { price: own })])],
    })

    expect(targets.get('llm/m')?.price).toEqual({ ...own, search: expected })
  })

  test.each([
    [{}, { serviceTier: { fast: 6 }, inferenceGeo: { us: 1.1 } }],
    [{ service_tiers: { fast: 2 } }, { serviceTier: { fast: 2 }, inferenceGeo: { us: 1.1 } }],
    [{ inference_geo: {} }, { serviceTier: { fast: 6 }, inferenceGeo: {} }],
  ])(
    'adds how many times a price holds at other tiers, and elsewhere, where it does not say: %j',
    (written, factors) => {
      const known = toPrice({ input: 1, output: 1, service_tiers: { fast: 6 }, inference_geo: { us: 1.1 } })

      const { targets } = build({
        knowledge: () => ({ abilities, price: known }),
        servers: [server('llm')],
        declaredModels: [
          declared('chat', [declaredTarget('llm', 'm', { price: toPrice({ input: 9, output: 9, ...written }) })]),
        ],
      })

      expect(targets.get('llm/m')?.price?.factors).toEqual(factors)
    },
  )
})
