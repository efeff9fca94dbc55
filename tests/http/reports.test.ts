import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { ADMINISTERED, AS_ADMIN, type Edge, edgeOf, errorOf } from './edge.ts'

const DAY_MS = 86_400_000

test('reports say where nothing is kept', async () => {
  const edge = await edgeOf(ADMINISTERED)

  for (const path of ['usage', 'users', 'sessions', 'audit']) {
    const page = await (await edge.ask(`/management/${path}`, { headers: AS_ADMIN })).json()
    expect(page).toEqual({ data: [], next: null, note: expect.stringContaining('service.data_dir') })
  }
})

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
      const asked = { model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }], user: `after-${later}` }
      await (await edge.chat({ body: asked })).text()
      await edge.ask('/management/keys', { method: 'POST', headers: AS_ADMIN, body: { name: `k${later}` } })
    }
    await until('the rows', 10_000, async () => {
      await edge.pass(1000)
      const { data }: { data: object[] } = await (await ask('audit')).json()
      return (await days('from=2026-01-01')).length === 3 && data.length >= 3
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

  test('up to a day of an earlier month are of that month', async () => {
    expect(await days('to=2026-01-31')).toEqual(['2026-01-01', '2026-01-31'])
    expect(await days('to=2026-01-30')).toEqual(['2026-01-01'])
  })

  test('are of what is asked for', async () => {
    const all = 'from=2026-01-01'
    const [line] = (await (await ask(`usage?${all}&by=key,model,server`)).json()).data

    for (const name of ['key', 'model', 'server']) {
      expect(await days(`${all}&${name}=${line[name]}`)).toHaveLength(3)
      expect(await days(`${all}&${name}=other`)).toEqual([])
    }
    expect((await (await ask(`users?key=${line.key}`)).json()).data).toHaveLength(3)
    expect((await (await ask('users?key=other')).json()).data).toEqual([])
  })

  test.each(['usage?from=2026-01-01&', 'users?', 'audit?'])('go on behind the page before: %s', async path => {
    const ids: string[] = []
    for (let after: string | null = ''; after !== null; ) {
      const { data, next }: { data: object[]; next: string | null } = await (
        await ask(`${path}limit=1&after=${after}`)
      ).json()
      ids.push(...data.map(each => JSON.stringify(each)))
      after = next
    }

    expect(ids.length).toBeGreaterThanOrEqual(3)
    expect(new Set(ids).size).toBe(ids.length)
  })

  test('as a table have a column for each group that was asked for, and for no other', async () => {
    const table = await (await ask('usage?from=2026-01-01&by=tenant,%20day,tenant&format=csv')).text()
    const [columns = '', ...lines] = table.trim().split('\r\n')

    expect(columns).toStartWith('day,tenant,requests,input_tokens,')
    expect(lines.map(line => line.split(',')[0])).toEqual(['2026-01-01', '2026-01-31', '2026-02-02'])
  })

  test.each([
    ['usage?from=2026-02-30', 'from'],
    ['usage?to=x2026-01-31', 'to'],
    ['usage?to=2026-01-31x', 'to'],
    ['usage?from=2026', 'from'],
    ['usage?to=2026-01-31T00:00:00.000Z', 'to'],
    ['audit?from=x2026-01-31', 'from'],
    ['audit?to=2026-01-31T12:00:00Zx', 'to'],
    ['audit?to=January', 'to'],
    ['audit?from=2026-01', 'from'],
    ['audit?from=2026-01-31T12:00:00', 'from'],
    ['audit?kind=none', 'kind'],
    ['audit?from=2026-01-31&to=2026-01-31', 'to'],
    ['usage?key=', 'key'],
    ['usage?model=', 'model'],
    ['users?key=', 'key'],
    ['audit?actor=', 'actor'],
  ])('are refused for what is no day, time, kind, filter or range: %s', async (path, param) => {
    const refused = await ask(path)

    expect([refused.status, await errorOf(refused)]).toMatchObject([400, { param }])
  })

  test.each(['usage?from=2027-01-01', 'usage?to=2027-01-31', 'audit?from=2027-01-01'])(
    'of the future say that it is: %s',
    async path => {
      expect(await (await ask(path)).json()).toMatchObject({ data: [], note: expect.stringContaining('in the future') })
    },
  )

  test('that begin before the rows do say so, as a table too', async () => {
    const [whole, part] = [await ask('usage?from=2026-01-31'), await ask('usage?from=2026-01-01')]
    const table = await ask('usage?from=2026-01-01&format=csv')

    const note = expect.stringMatching(/^Rows from before 2026-01-0[34]T.* are removed by now.*audit\.retention/)
    expect([(await whole.json()).note, (await part.json()).note]).toEqual([undefined, note])
    expect(table.headers.get('x-citadel-note')).toEqual(note)
    expect((await (await ask('audit?from=2026-01-01')).json()).note).toEqual(note)
    expect((await (await ask('audit')).json()).note).toBeUndefined()
  })

  test.each(['json', 'csv'])('are kept by nobody on the way, as %s', async format => {
    const page = await ask(`usage?from=2026-01-01&limit=1&format=${format}`)

    expect(page.headers.get('cache-control')).toBe('no-store')
    expect(page.headers.get('x-citadel-next') !== null).toBe(format === 'csv')
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
