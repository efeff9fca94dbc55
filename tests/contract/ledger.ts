import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { type Account, type AuditRow, type Hold, type LedgerRow, type LedgerStore, OVER } from '#core/ledger.ts'
import { toRow } from '#gateway/ledger/row.ts'
import { recordOf } from '#tests/support/records.ts'

/** A row of the key `web` of the tenant `shop` that costs so much. */
export function rowOf(id: string, costNano: number | null, more: Partial<LedgerRow> = {}): LedgerRow {
  return { ...toRow(recordOf({ id, costNano }), Date.UTC(2026, 0, 1), null), ...more }
}

/** What every store of money promises. */
export function ledgerContract(
  name: string,
  open: () => Promise<{ readonly store: LedgerStore; close(): Promise<void> }>,
): void {
  describe(name, () => {
    let store: LedgerStore
    let close: () => Promise<void>
    let made = 0

    beforeAll(async () => {
      const opened = await open()
      store = opened.store
      close = opened.close
    }, 60_000)
    afterAll(() => close())

    /** An account that nobody has used, of a key whose rows are charged to it. */
    const account = (cap: number, tenant = 'shop'): Account & { readonly key: string } => {
      const key = `key-${++made}`
      return { id: `key:${tenant}/${key}`, tenant, key, period: '2026-01', cap, resetsAt: 0 }
    }
    const holdOf = (request: string, accounts: readonly Account[], nano: number, more: Partial<Hold> = {}): Hold => ({
      request,
      accounts,
      nano,
      expiresAt: 1000,
      ...more,
    })
    const write = (...requests: LedgerRow[]) => store.write({ requests, audit: [] })
    const used = async (one: Account) => (await store.hold(holdOf(`probe-${++made}`, [one], 0))).used[0]

    test('lets as many of a hundred at once through as there is money for', async () => {
      const one = account(1000)

      const verdicts = await Promise.all(
        Array.from({ length: 100 }, (_, index) => store.hold(holdOf(`${one.key}-${index}`, [one], 100))),
      )

      expect(verdicts.filter(({ refused }) => refused === null)).toHaveLength(10)
      expect(verdicts.filter(({ refused }) => refused?.id === one.id)).toHaveLength(90)
      expect(await used(one)).toBe(1000)
    })

    test('takes from all accounts or from none', async () => {
      const [rich, poor] = [account(1000), account(50)]
      const before = await store.holds()

      const verdict = await store.hold(holdOf('refused by one', [rich, poor], 100))

      expect([verdict.refused?.id, await store.holds()]).toEqual([poor.id, before])
      expect(await used(rich)).toBe(0)
      expect(await used(poor)).toBe(0)
    })

    test('holds for a request in each of its accounts, and gives back to each', async () => {
      // Of a tenant of its own: what the keys of other tests have used would be the tenant's, too.
      const own = account(1000, 'bank')
      const tenant = { ...account(2000, 'bank'), id: 'tenant:bank' }
      const both = await store.hold(holdOf('in both', [own, tenant], 300))
      const one = await store.hold(holdOf('in one', [tenant], 50))
      const held = [await used(own), await used(tenant)]

      await write(rowOf('in both', null, { tenant: 'bank', key_id: own.key }))

      expect([both.used, one.used]).toEqual([[300, 300], [350]])
      expect([held, [await used(own), await used(tenant)]]).toEqual([
        [300, 350],
        [0, 50],
      ])
    })

    test('says how much is used of the account that refuses, and of those before it', async () => {
      const [rich, poor, last] = [account(1000), account(100), account(1000)]
      await store.hold(holdOf('rich', [rich], 70))
      await store.hold(holdOf('poor', [poor], 90))

      const verdict = await store.hold(holdOf('both', [rich, poor, last], 50))

      expect(verdict.refused?.id).toBe(poor.id)
      expect(verdict.used.slice(0, 2)).toEqual([70, 90])
    })

    test('settles a hold with what its row costs, once, however often the row is written', async () => {
      const one = account(1000)
      await store.hold(holdOf('settled', [one], 900))
      const row = rowOf('settled', 120, { key_id: one.key })

      await write(row)
      await write(row, row)

      expect(await used(one)).toBe(120)
    })

    test('keeps and charges what is new in a batch of which some is not', async () => {
      const one = account(1000)
      await store.hold(holdOf('new', [one], 300))
      const old = rowOf('old', 50, { key_id: one.key })
      const sealed: AuditRow = {
        ...{
          id: `seal-${one.key}`,
          tenant: 'shop',
          at: 1,
          kind: 'batch',
          action: 'sealed',
          actor: null,
          address: null,
        },
        ...{ request_id: null, subject: null, outcome: 'ok', code: null, detail: '{}', chain: one.key, seq: 1 },
        ...{ prev: '', hash: 'hash' },
      }
      await store.write({ requests: [old], audit: [sealed] })

      // What was late may have happened: it is written again, with its rows of the audit log.
      await store.write({ requests: [old], audit: [sealed] })
      await write(old, rowOf('new', 20, { key_id: one.key }), rowOf('newer', 7, { key_id: one.key, user_id: 'ann' }))

      expect(await used(one)).toBe(77)
    })

    test('lets a hold grow, and refuses to let it grow beyond what is left', async () => {
      const one = account(1000)
      await store.hold(holdOf('grows', [one], 300))

      const grown = await store.hold(holdOf('grows', [one], 400))
      const refused = await store.hold(holdOf('grows', [one], 400))

      expect([grown.refused, refused.refused?.id]).toEqual([null, one.id])
      expect(await used(one)).toBe(700)
      await write(rowOf('grows', 10, { key_id: one.key }))
      expect(await used(one)).toBe(10)
    })

    test('charges a row whose price nobody knows with nothing, and gives its hold back', async () => {
      const one = account(1000)
      await store.hold(holdOf('unpriced', [one], 300))

      await write(rowOf('unpriced', null, { key_id: one.key }))

      expect(await used(one)).toBe(0)
    })

    test('charges a tenant with the rows of all its keys', async () => {
      const name = `t${++made}`
      const tenant: Account = { id: `tenant:${name}`, tenant: name, period: '2026-01-01', cap: 1000, resetsAt: 0 }
      await store.hold(holdOf('tenant-a', [tenant], 100))
      await store.hold(holdOf('tenant-b', [tenant], 100))

      await write(
        rowOf('tenant-a', 30, { tenant: name, key_id: 'a' }),
        rowOf('tenant-b', 40, { tenant: name, key_id: 'b' }),
      )

      expect(await used(tenant)).toBe(70)
    })

    test('keeps the periods of an account apart', async () => {
      const month = account(1000)
      const day: Account = { ...month, period: '2026-01-01' }
      await store.hold(holdOf(`both-${month.key}`, [month, day], 0))
      await store.hold(holdOf(`month-${month.key}`, [month], 300))
      await store.hold(holdOf(`day-${month.key}`, [day], 40))
      const held = [await used(month), await used(day)]
      const { refused, used: told } = await store.hold(holdOf(`both-${month.key}`, [month, { ...day, cap: 100 }], 61))

      await write(rowOf(`day-${month.key}`, 7, { key_id: month.key, day: '2026-01-01' }))

      expect([held, refused?.period, told]).toEqual([[300, 40], day.period, [300, 40]])
      expect([await used(month), await used(day)]).toEqual([307, 7])
    })

    test('charges no attempt beside its request', async () => {
      const one = account(1000)
      await store.hold(holdOf('parent', [one], 100))

      await write(rowOf('parent', 30, { key_id: one.key }), rowOf('parent.1', 0, { key_id: one.key, parent: 'parent' }))

      expect(await used(one)).toBe(30)
    })

    test('gives a hold back whose time is said to be over, also one that is settled', async () => {
      const [one, other] = [account(1000), account(1000)]
      for (const each of [one, other]) await store.hold(holdOf(`over-${each.key}`, [each], 500, { expiresAt: 5000 }))
      await write(rowOf(`over-${other.key}`, 70, { key_id: other.key }))
      for (const each of [one, other]) await store.hold(holdOf(`over-${each.key}`, [each], 0, { expiresAt: 100 }))
      await store.expire(100)

      expect([await used(one), await used(other)]).toEqual([0, 70])
    })

    test('gives a hold back also where more than the cap is used by then', async () => {
      const one = account(1000)
      const [left, dear] = [`left-${one.key}`, `dear-${one.key}`]
      for (const request of [left, dear]) await store.hold(holdOf(request, [one], 400))
      await write(rowOf(dear, 700, { key_id: one.key }))

      const verdict = await store.hold(holdOf(left, [one], 0, { expiresAt: OVER }))

      expect(verdict).toEqual({ refused: null, used: [1100] })
      await store.expire(1)
      expect(await used(one)).toBe(700)
    })

    test('gives back what nobody settles in time, and still charges a row that comes after', async () => {
      const one = account(1000)
      await store.expire(10_000)
      await store.hold(holdOf('late', [one], 500, { expiresAt: 20_000 }))
      const holds = await store.holds()

      expect(await store.expire(19_999)).toBe(0)
      expect(await store.expire(20_000)).toBe(1)
      expect(await store.holds()).toBe(holds - 1)
      expect(await used(one)).toBe(0)
      await write(rowOf('late', 70, { key_id: one.key }))
      expect(await used(one)).toBe(70)
    })
  })
}
