import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import type { Abilities, Model } from '#core/servers.ts'
import { createStates } from '#registry/states.ts'
import { createLineups } from '#routing/lineup.ts'
import { plan } from '#routing/plan.ts'
import { anyone, call, model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { seeded } from '#tests/support/random.ts'

const UNKNOWN: Abilities = { context_length: null, tools: null, vision: null, json_schema: null }
const able = (id: string, abilities: Partial<Abilities> = {}) =>
  targetOf(id, { abilities: { ...UNKNOWN, ...abilities } })

const image = { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,aGk=' } }] }
const tools = [{ type: 'function', function: { name: 'f' } }]
const response_format = { type: 'json_schema', json_schema: { name: 'x', schema: {} } }

function planned(models: readonly Model[], body: object, more: Partial<Call> = {}, states = createStates()) {
  const whole = { model: 'chat', messages: [{ role: 'user', content: 'Hi' }], ...body }
  const asked = call({ model: 'chat', body: whole, source: JSON.stringify(whole), ...more })
  const deps = { clock: fakeClock(), random: seeded(1), lineups: createLineups() }
  const { candidates, excluded = [] } = plan(asked, snapshotOf(models), states, deps)
  return {
    order: candidates.map(({ target }) => target.id).sort(),
    excluded: excluded.map(({ target, reason }) => `${target.id} ${reason}`),
  }
}

describe('a target that cannot do what is asked is left out', () => {
  test.each<[string, Partial<Abilities>, object, string]>([
    ['tools', { tools: false }, { tools }, 'cannot call tools'],
    ['older tools', { tools: false }, { functions: [{ name: 'f' }] }, 'cannot call tools'],
    ['images', { vision: false }, { messages: [image] }, 'cannot read images'],
    ['a schema', { json_schema: false }, { response_format }, 'cannot follow a JSON schema'],
  ])('%s', (_, abilities, body, reason) => {
    const chat = model('chat', [able('a/m', abilities), able('b/m')])

    expect(planned([chat], body)).toEqual({ order: ['b/m'], excluded: [`a/m ${reason}`] })
    expect(planned([chat], {})).toEqual({ order: ['a/m', 'b/m'], excluded: [] })
  })

  test('but not for an empty list of tools, nor for a text in parts', () => {
    const chat = model('chat', [able('a/m', { tools: false, vision: false })])
    const messages = [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }]

    for (const body of [{ tools: [] }, { functions: [] }, { messages }, { messages: 'none' }])
      expect(planned([chat], body)).toEqual({ order: ['a/m'], excluded: [] })
  })

  test('for a fallback that can', () => {
    const chat = model('chat', [able('a/m', { tools: false })], { fallbacks: ['other'] })
    const other = model('other', [targetOf('b/m')])

    expect(planned([chat, other], { tools })).toEqual({ order: ['b/m'], excluded: ['a/m cannot call tools'] })
  })

  test.each<[Partial<Abilities>, object, string]>([
    [{ vision: false }, { messages: [image] }, 'cannot read images'],
    [{ tools: false }, { tools }, 'cannot call tools'],
    [{ json_schema: false }, { response_format }, 'cannot follow a JSON schema'],
  ])('also among fallbacks that the call names: %j', (abilities, body, reason) => {
    const chat = model('chat', [targetOf('a/m')])
    const other = model('other', [able('b/m', abilities)])

    const { order, excluded } = planned([chat, other], body, { fallbacks: ['other'] })

    expect([order, excluded]).toEqual([['a/m'], [`b/m ${reason}`]])
  })
})

describe('when no target can', () => {
  test.each<[Partial<Abilities>, object, string, string]>([
    [{ tools: false }, { tools }, 'tools', 'This model cannot call tools.'],
    [{ vision: false }, { messages: [image] }, 'messages', 'This model cannot read images.'],
    [{ json_schema: false }, { response_format }, 'response_format', 'This model cannot follow a JSON schema.'],
  ])('the call is refused: %j', (abilities, body, param, message) => {
    expect(() => planned([model('chat', [able('a/m', abilities)])], body)).toThrow(
      expect.objectContaining({ code: 'unsupported_parameter', param, message }),
    )
  })
})

describe('a prompt that is too long', () => {
  const long = { messages: [{ role: 'user', content: 'x'.repeat(36_000) }] }
  const short = able('a/m', { context_length: 8192 })

  test('goes where there is room', () => {
    const chat = model('chat', [short, able('b/m', { context_length: 32_000 }), targetOf('c/m')])

    const { order, excluded } = planned([chat], long)

    expect(order).toEqual(['b/m', 'c/m'])
    expect(excluded).toEqual([expect.stringMatching(/^a\/m holds 8192 tokens, this call may need \d+$/)])
  })

  test('counts the answer that is asked for', () => {
    const chat = model('chat', [short, able('b/m', { context_length: 32_000 })])

    expect(planned([chat], { max_tokens: 9000 }).order).toEqual(['b/m'])
    expect(planned([chat], { max_tokens: 100 }).order).toEqual(['a/m', 'b/m'])
  })

  test('is left to the server to judge where no target has more room', () => {
    expect(planned([model('chat', [short])], long)).toEqual({ order: ['a/m'], excluded: [] })
  })

  test('is left to the server to judge where those that have more room are down', () => {
    const chat = model('chat', [short, able('b/m', { context_length: 32_000 })], { fallbacks: ['other'] })
    const states = createStates()
    for (const server of ['b', 'c']) states.server(server).health = 'unhealthy'

    const result = planned([chat, model('other', [targetOf('c/m')])], long, {}, states)

    expect(result).toEqual({ order: ['a/m'], excluded: [] })
  })
})

test('what is unknown is tried', () => {
  const chat = model('chat', [able('a/m'), targetOf('b/m')])

  expect(planned([chat], { tools, response_format, messages: [image] }).order).toEqual(['a/m', 'b/m'])
})

test('a plan that is ready stays ready where nothing is limited', () => {
  const only = snapshotOf([model('chat', [targetOf('a/m')])])
  const deps = { clock: fakeClock(), random: seeded(1), lineups: createLineups() }
  const once = () => plan(call({ model: 'chat', caller: anyone }), only, createStates(), deps)

  expect(once()).toBe(once())
})
