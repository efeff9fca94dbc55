import { describe, expect, test } from 'bun:test'
import type { Call } from '#core/call.ts'
import type { ModelClass } from '#core/servers.ts'
import { demandOf, misfit } from '#routing/demand.ts'
import { call, model } from '#tests/support/calls.ts'
import { targetOf } from '#tests/support/fleet.ts'

/** What a call with a prompt of so many tokens asks for. */
const asking = (tokens: number, more: Call['body'] = {}) =>
  demandOf(call({ body: { messages: [{ role: 'user', content: 'x'.repeat(Math.floor(tokens * 3.6)) }], ...more } }))
const tools = [{ type: 'function', function: { name: 'now' } }]

function misfitOf(modelClass: ModelClass | null, demand: ReturnType<typeof asking>, context: number | null = null) {
  const abilities = { context_length: context, tools: null, vision: null, json_schema: null }
  const target = targetOf('a/m', { abilities })
  return misfit({ target, model: model('m', [target], { class: modelClass }), reason: 'test' }, demand)
}

describe('the size of model that a call needs', () => {
  test('rises with its prompt from 500 tokens to 8,000, and with its answer from 512 to 2,048', () => {
    const short = { max_tokens: 10 }

    expect([500, 4250, 8000, 50_000].map(tokens => asking(tokens, short).size)).toEqual([0, 0.5, 1, 1])
    expect([512, 1280, 2048, 9000].map(max_tokens => asking(10, { max_tokens }).size)).toEqual([0, 0.5, 1, 1])
    expect(asking(500, short).tokens).toBe(510)
  })

  test('is half that of a large call at least when there are tools', () => {
    expect(asking(10, { max_tokens: 10, tools }).size).toBe(0.5)
    expect(asking(10, { max_tokens: 10, tools: [] }).size).toBe(0)
    expect(asking(8000, { max_tokens: 10, tools }).size).toBe(1)
  })

  test('is met by a class as far as it is from it, and by a model of no class half', () => {
    const classes = ['lightweight', null, 'specialized', 'heavyweight'] as const
    const small = asking(10, { max_tokens: 10 })
    const middle = asking(10, { max_tokens: 10, tools })

    expect(classes.map(each => misfitOf(each, small))).toEqual([0, 0.5, 0.5, 1])
    expect(classes.map(each => misfitOf(each, middle))).toEqual([0.5, 0, 0, 0.5])
  })

  test('matters less than a context into which prompt and answer may not fit', () => {
    const small = asking(500, { max_tokens: 10 })

    expect(misfitOf('heavyweight', small, 510)).toBe(1)
    expect(misfitOf('lightweight', small, 509)).toBe(2)
  })
})
