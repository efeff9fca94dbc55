import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { ADMINISTERED, AS_ADMIN, type Edge, edgeOf, errorOf } from './edge.ts'

const DAY_MS = 86_400_000

describe('reports', () => {
  let folder: Awaited<ReturnType<typeof ownFolder>>
  let edge: Edge

  const ask = (path: string) => edge.ask(`/management/${path}`, { headers: AS_ADMIN })
  const days = async (query = '') => {
    const { data }: { data: { day: string }[] } = await (await ask(`usage?${query}`)).json()
    return data.map(({ day }) => day)
  }

  beforeAll(async () => {
    folder = await ownFolder('citadel-reports-')
    edge = await edgeOf({ ...ADMINISTERED, database: { url: `sqlite://${join(folder.path, 'a.db')}` } })
    // From the first of January to its last day, and to the second of February.
    for (const later of [0, 30, 2]) {
      edge.clock.jump(later * DAY_MS)
      await (await edge.chat()).text()
    }
    await until('the rows', 10_000, async () => {
      await edge.pass(1000)
      return (await days('from=2026-01-01')).length === 3
    })
  })

  afterAll(async () => {
    await edge.gateway.close()
    await folder.remove()
  })

  test('are of this month where nobody says otherwise, and its last day is a part of any', async () => {
    expect(await days()).toEqual(['2026-02-02'])
    expect(await days('from=2026-01-31')).toEqual(['2026-01-31', '2026-02-02'])
    expect(await days('from=2026-01-02&to=2026-01-31')).toEqual(['2026-01-31'])
  })

  test.each([
    ['usage', 10_000],
    ['users', 10_000],
    ['sessions', 10_000],
    ['audit', 1000],
  ])('of %s are given in pages of at most %i', async (report, most) => {
    expect((await ask(`${report}?limit=${most}`)).status).toBe(200)
    for (const limit of [0, most + 1, 1.5, 'x']) {
      const refused = await ask(`${report}?limit=${limit}`)
      expect([refused.status, await errorOf(refused)]).toMatchObject([400, { param: 'limit' }])
    }
  })
})
