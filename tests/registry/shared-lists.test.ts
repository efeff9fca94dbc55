import { describe, expect, test } from 'bun:test'
import type { ListStore, ModelList } from '#core/lists.ts'
import type { Server } from '#core/servers.ts'
import { shareLists } from '#registry/shared-lists.ts'
import { listOf } from '#tests/contract/lists.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

const HOLD_MS = 300_000

/** Two processes that share lists, and what each of them asked servers. */
function processes() {
  const clock = fakeClock()
  const lists = new Map<string, ModelList>()
  const store: ListStore = { get: async name => lists.get(name) ?? null, set: (name, list) => lists.set(name, list) }
  const asked: string[] = []
  const down = new Set<string>()
  const create = (process: string) =>
    shareLists(
      async ({ id }: Server) => {
        asked.push(`${process} ${id}`)
        if (down.has(id)) throw new Error('it does not answer')
        return listOf(`${id}-model`).models
      },
      store,
      { clock, holdMs: () => HOLD_MS },
    )
  return { clock, asked, down, one: create('one'), two: create('two') }
}

describe('lists that are shared', () => {
  test('are asked for by one of those that begin together', async () => {
    const { clock, asked, one, two } = processes()
    const first = await one(server('a'))
    clock.advance(29_999)
    const second = await two(server('a'))
    clock.advance(1)
    await two(server('a'))

    expect(second).toEqual(first)
    expect(asked).toEqual(['one a', 'two a'])
  })

  test('stand in for a server that does not say, for a while', async () => {
    const { clock, down, one, two } = processes()
    const first = await one(server('a'))
    down.add('a')
    clock.advance(HOLD_MS - 1)
    const meanwhile = await two(server('a'))
    clock.advance(1)

    expect(meanwhile).toEqual(first)
    expect(await two(server('a')).catch(String)).toBe('Error: it does not answer')
  })

  test('from the future are of a clock that was wrong, and are asked for again', async () => {
    const { clock, asked, one, two } = processes()
    clock.jump(3_600_000)
    await one(server('a'))
    clock.jump(-3_600_000)
    await two(server('a'))

    expect(asked).toEqual(['one a', 'two a'])
  })

  test('are nothing to a server at another address, of another kind or with another key', async () => {
    const { asked, one, two } = processes()
    await one(server('a'))
    for (const other of [{ baseUrl: 'http://b.test' }, { kind: 'ollama' }, { secrets: ['k'] }]) {
      await two(server('a', other))
    }

    expect(asked).toEqual(['one a', 'two a', 'two a', 'two a'])
  })
})
