import type { LedgerRow } from '#core/ledger.ts'
import type { UsageQuery, UsageSum } from '#core/reports.ts'

/** What a report of usage is, found without a database. */
export function summed(rows: readonly LedgerRow[], { by, after, ...query }: UsageQuery): readonly UsageSum[] {
  const groups = new Map<string, { readonly groups: (string | null)[]; readonly rows: LedgerRow[] }>()
  for (const row of rows) {
    if (row.day < query.from || row.day > query.to) continue
    if (query.tenant !== null && row.tenant !== query.tenant) continue
    if (query.key !== null && row.key_id !== query.key) continue
    if (query.model !== null && row.model !== query.model) continue
    if (query.server !== null && row.server !== query.server) continue
    const columns = { day: row.day, key: row.key_id, tenant: row.tenant, model: row.model, server: row.server }
    const names = by.map(group => ({ ...columns, user: row.user_id, session: row.session_id })[group])
    const known = groups.get(names.join()) ?? { groups: names, rows: [] }
    groups.set(names.join(), known)
    known.rows.push(row)
  }
  // What is not there comes first, as an empty text does.
  return [...groups.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .filter(([name]) => after === null || name > after.join())
    .slice(0, query.limit)
    .map(([, group]) => {
      const own = group.rows.filter(({ parent }) => parent === null)
      const sum = (of: readonly LedgerRow[], amount: (row: LedgerRow) => number | null) =>
        of.reduce((all, row) => all + (amount(row) ?? 0), 0)
      return {
        groups: group.groups,
        requests: own.length,
        input: sum(own, row => row.input_tokens),
        cacheRead: sum(own, row => row.cache_read_tokens),
        cacheWrite: sum(own, row => row.cache_write_tokens),
        output: sum(own, row => row.output_tokens),
        reasoning: sum(own, row => row.reasoning_tokens),
        saved: sum(group.rows, row => row.saved_tokens),
        costNano: sum(group.rows, row => row.cost_nano),
        extraNano: sum(group.rows, row => row.extra_cost_nano),
        savedNano: sum(group.rows, row => row.saved_nano),
        estimated: sum(own, row => row.estimated),
        lost: group.rows.filter(({ outcome }) => outcome === 'lost').length,
        unpriced: own.filter(({ cost_nano }) => cost_nano === null).length,
      }
    })
}
