import { describe, expect, test } from 'bun:test'
import type { ListedModel, Server } from '#core/servers.ts'
import { createListing } from '#registry/listing.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

function listed(...ids: readonly string[]): readonly ListedModel[] {
  return ids.map(id => ({ id, contextLength: null, created: 0, ownedBy: null, embedding: false }))
}

function setup(list: (server: Server) => Promise<readonly ListedModel[]>) {
  const clock = fakeClock()
  const changes: string[] = []
  const asked: number[] = []
  const listing = createListing({
    longestMs: () => 300_000,
    clock,
    list(server) {
      asked.push(clock.now())
      return list(server)
    },
    onChange: server => changes.push(server.id),
  })
  async function pass(ms: number): Promise<void> {
    clock.advance(ms)
    await settled()
  }
  return {
    clock,
    changes,
    asked,
    listing,
    pass,
    ids: (id: string) =>
      listing
        .current()
        .get(id)
        ?.map(each => each.id),
  }
}

describe('the listing', () => {
  test('knows what each server offers once it has answered', async () => {
    const { listing, changes, ids } = setup(async ({ id }) => listed(`${id}-model`))

    await listing.watch([server('a'), server('b')])

    expect([ids('a'), ids('b')]).toEqual([['a-model'], ['b-model']])
    expect(changes).toEqual(['a', 'b'])
  })

  test('asks less and less often while nothing changes, down to every five minutes', async () => {
    const { listing, asked, pass, changes } = setup(async () => listed('m'))
    await listing.watch([server('a')])
    for (let times = 0; times < 40; times++) await pass(30_000)

    expect(asked).toEqual([0, 30_000, 90_000, 210_000, 450_000, 750_000, 1_050_000])
    expect(changes).toEqual(['a'])
  })

  test('takes another time of making for no change: vLLM says the time of the question', async () => {
    let now = 0
    const models = () => listed('m').map(model => ({ ...model, created: ++now }))
    const { listing, changes, asked, pass } = setup(async () => models())
    await listing.watch([server('a')])
    await pass(30_000)
    await pass(60_000)

    expect([changes, asked]).toEqual([['a'], [0, 30_000, 90_000]])
    expect(listing.current().get('a')?.[0]?.created).toBe(1)
  })

  test('tells of a change, and asks more often again', async () => {
    let models = listed('m')
    const { listing, asked, pass, changes, ids } = setup(async () => models)
    await listing.watch([server('a')])
    await pass(30_000)
    models = listed('m', 'n')
    await pass(60_000)
    await pass(30_000)

    expect([changes, ids('a'), asked]).toEqual([
      ['a', 'a'],
      ['m', 'n'],
      [0, 30_000, 90_000, 120_000],
    ])
  })

  test('keeps the models of a server that fails to answer', async () => {
    let fails = false
    const { listing, pass, ids, asked } = setup(async () => {
      if (fails) throw new Error('down')
      return listed('m')
    })
    await listing.watch([server('a')])
    fails = true
    await pass(30_000)
    await pass(30_000)

    expect([ids('a'), asked.length]).toEqual([['m'], 3])
  })

  test('asks a server that never answered every five seconds', async () => {
    const { listing, pass, asked } = setup(() => {
      throw new Error('down')
    })
    await listing.watch([server('a')])
    await pass(5000)
    await pass(5000)

    expect(asked).toEqual([0, 5000, 10_000])
  })

  test('asks a server at once that is well now and never answered, and no other', async () => {
    const hang = Promise.withResolvers<readonly ListedModel[]>()
    const { listing, asked, ids } = setup(server =>
      asked.length > 1 ? Promise.resolve(listed(server.id)) : hang.promise,
    )
    void listing.watch([server('a')])

    listing.again('a')
    await settled()
    listing.again('a')
    hang.resolve(listed('late'))
    await settled()

    expect([asked.length, ids('a')]).toEqual([2, ['a']])
  })

  test('forgets servers that are gone or have moved', async () => {
    let name = 'old'
    const { listing, ids, clock } = setup(async () => listed(name))
    await listing.watch([server('a'), server('b')])
    name = 'new'

    await listing.watch([server('b', { baseUrl: 'http://elsewhere.test' })])

    expect([ids('a'), ids('b'), clock.pending]).toEqual([undefined, ['new'], 1])
  })

  test('leaves servers that stay in their rhythm', async () => {
    const { listing, asked } = setup(async () => listed('m'))
    const same = server('a')
    await listing.watch([same])
    await listing.watch([same])

    expect(asked).toHaveLength(1)
  })

  test('leaves out repetitions and names that no model has', async () => {
    const { listing, ids } = setup(async () => listed('m', 'm', '', 'x\ny', 'z'.repeat(257), 'half\ud800', 'ok'))

    await listing.watch([server('a')])

    expect(ids('a')).toEqual(['m', 'ok'])
  })

  test('does not hear an answer that comes after it was stopped', async () => {
    const { promise, resolve } = Promise.withResolvers<readonly ListedModel[]>()
    const { listing, changes, clock } = setup(() => promise)
    const watching = listing.watch([server('a')])
    listing.stop()
    resolve(listed('m'))
    await watching

    expect([changes, clock.pending]).toEqual([[], 0])
  })
})

test('a server that works without its list is asked when the start is over, and never eagerly', async () => {
  let answers = 0
  const { listing, asked, pass, ids } = setup(async () => {
    if (++answers < 2) throw new Error('not yet')
    return listed('m')
  })

  await listing.watch([], [server('a')])
  expect(asked).toEqual([])
  await pass(5000)
  expect(asked).toHaveLength(1)
  await pass(29_000)
  expect(asked).toHaveLength(1)
  await pass(1000)

  expect(ids('a')).toEqual(['m'])
})
