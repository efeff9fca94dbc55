import { migrateSql, migrationsOf } from '#stores/sql-client.ts'
import { readArguments } from './arguments.ts'
import { failDatabase, sqlOf } from './database.ts'
import { FILE_OPTIONS, optionsOf, settle } from './options.ts'
import { EXIT, print } from './output.ts'

/** Brings the database up to date, or says whether it is. */
export async function migrate(args: readonly string[]): Promise<number> {
  try {
    const options = { ...FILE_OPTIONS, status: { type: 'boolean' } } as const
    const { values } = readArguments({ args: [...args], options })
    const settled = await settle(optionsOf(values))
    const sql = sqlOf(settled)
    if (values.status !== true) {
      const applied = await migrateSql(sql)
      print(applied.length === 0 ? 'up to date' : applied.map(version => `${number(version)}  applied`).join('\n'))
      return EXIT.ok
    }
    const states = await migrationsOf(sql)
    print(
      states
        .map(({ version, appliedAt, known }) => {
          const when = appliedAt === null ? 'pending' : new Date(appliedAt).toISOString()
          return `${number(version)}  ${when}${known ? '' : '  of a newer version'}`
        })
        .join('\n'),
    )
    return states.some(({ appliedAt }) => appliedAt === null) ? EXIT.failure : EXIT.ok
  } catch (thrown) {
    return failDatabase(thrown)
  }
}

function number(version: number): string {
  return String(version).padStart(3, '0')
}
