import { verifyAudit } from '#events/verify.ts'
import { createSqlAuditSource } from '#stores/sql-audit.ts'
import { readArguments } from './arguments.ts'
import { failDatabase, mustBeThere, withDatabase } from './database.ts'
import { FILE_OPTIONS, optionsOf, settle } from './options.ts'
import { EXIT, fail, print } from './output.ts'

const USAGE = 'usage: citadel audit verify [--config FILE]... [--env-file FILE]...'

/** Checks the audit log: whether a row was changed, removed or put elsewhere. */
export async function audit(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals } = readArguments({ args: [...args], allowPositionals: true, options: FILE_OPTIONS })
    if (positionals.length !== 1 || positionals[0] !== 'verify') return fail(USAGE, EXIT.usage)
    const settled = await settle(optionsOf(values))
    mustBeThere(settled)
    return await withDatabase(settled, async database => {
      const { chains, rows, requests, unsealed, problems } = await verifyAudit(createSqlAuditSource(database))
      const found = `${rows} rows in ${chains} chains, ${requests} sealed requests, ${unsealed} not sealed`
      const verdict = problems.length === 0 ? 'the audit log is whole' : 'the audit log was changed'
      print([found, ...problems, verdict].join('\n'))
      return problems.length === 0 ? EXIT.ok : EXIT.failure
    })
  } catch (thrown) {
    return failDatabase(thrown)
  }
}
