import { verifyAudit } from '#events/verify.ts'
import { createSqlAuditSource } from '#stores/sql-audit.ts'
import { newerSteps } from '#stores/sql-client.ts'
import { readArguments } from './arguments.ts'
import { failDatabase, mustBeThere, sqlOf, withDatabase } from './database.ts'
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
      const newer = problems.length === 0 ? [] : await newerSteps(sqlOf(settled))
      print([found, ...problems, verdictOf(problems, newer)].join('\n'))
      return problems.length === 0 ? EXIT.ok : EXIT.failure
    })
  } catch (thrown) {
    return failDatabase(thrown)
  }
}

/** What was found, in words. A seal is over all columns of a row: with one that is not known here it does not match. */
function verdictOf(problems: readonly string[], newer: readonly number[]): string {
  if (problems.length === 0) return 'the audit log is whole'
  if (newer.length === 0) return 'the audit log was changed'
  return 'a newer version of the gateway has written here, whose rows seem changed to this one: verify with that version'
}
