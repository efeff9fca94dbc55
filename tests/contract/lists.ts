import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import type { ListStore, ModelList } from '#core/lists.ts'

/** How long lists are kept in these tests, in milliseconds. */
export const HOLD_MS = 60_000

/** A list of one model. */
export function listOf(id: string, at = 1): ModelList {
  const model = { id, contextLength: null, created: 0, ownedBy: null, embedding: false }
  return { at, models: [model, { ...model, id: `${id}-2`, abilities: { tools: true }, loaded: true }] }
}

/** What every store promises, wherever it keeps the lists. */
export function listsContract(name: string, create: () => Promise<{ store: ListStore; close(): Promise<void> }>): void {
  describe(name, () => {
    let made: Awaited<ReturnType<typeof create>> | null = null
    const store = (): ListStore => {
      if (made === null) throw new Error('the store is not open')
      return made.store
    }

    beforeAll(async () => {
      made = await create()
    }, 60_000)

    afterAll(async () => {
      await made?.close()
    })

    test('has no list that was not set', async () => {
      expect(await store().get('nobody')).toBeNull()
    })

    test('gives back the last list of each server', async () => {
      store().set('a', listOf('old'))
      store().set('a', listOf('new', 2))
      store().set('b', listOf('other'))

      expect(await Promise.all(['a', 'b'].map(each => store().get(each)))).toEqual([listOf('new', 2), listOf('other')])
    })
  })
}
