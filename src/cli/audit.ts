import { parseArgs } from 'node:util'
import { createJournal } from '#core/journal.ts'
import { verifyAudit } from '#events/verify.ts'
import { composeDatabase } from '#src/compose/state.ts'
import { createSqlAuditSource } from '#stores/sql-audit.ts'
import { DATABASE_OPTIONS, failDatabase, mustBeThere, settleFor } from './database.ts'
import { EXIT, fail } from './output.ts'

const USAGE = 'usage: citadel audit verify [--config FILE]... [--env-file FILE]...'

/** Checks the audit log: whether a row was changed, removed or put elsewhere. */
export async function audit(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], allowPositionals: true, options: DATABASE_OPTIONS })
    if (positionals.length !== 1 || positionals[0] !== 'verify') return fail(USAGE, EXIT.usage)
    const { config, env } = await settleFor(values)
    mustBeThere({ config, env })
    const database = composeDatabase({ journal: createJournal([]), env, config: () => config })
    if (database === null) return fail('there is no place for a database: set service.data_dir or HOME', EXIT.config)
    try {
      const { chains, rows, requests, unsealed, problems } = await verifyAudit(createSqlAuditSource(database))
      console.log(`${rows} rows in ${chains} chains, ${requests} sealed requests, ${unsealed} not sealed`)
      for (const problem of problems) console.log(problem)
      console.log(problems.length === 0 ? 'the audit log is whole' : 'the audit log was changed')
      return problems.length === 0 ? EXIT.ok : EXIT.failure
    } finally {
      await database.close()
    }
  } catch (thrown) {
    return failDatabase(thrown)
  }
}
