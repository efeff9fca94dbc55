import { Database } from 'bun:sqlite'
import { expect, test } from 'bun:test'
import { statSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SQL } from 'bun'
import { startPostgres } from '#tests/support/postgres.ts'
import { type Machine, makeMachine, triedBlocks } from './tried.ts'

const RESTORE_MS = 60_000
const [backUpFile = '', restoreFile = '', backUpPostgres = '', restorePostgres = ''] = triedBlocks('backup.md', 'bash')
const CONFIG = '--config /etc/citadel/gateway.yaml'

/** Makes a key before the backup and one after it, loses the database, restores it, and lists the keys. */
async function loseAndRestore(
  machine: Machine,
  guide: {
    readonly backUp: string
    readonly lose: () => Promise<unknown>
    readonly restore: string
    readonly env?: Record<string, string>
  },
) {
  const before = await machine.run(
    [`citadel keys create ${CONFIG} --name before`, guide.backUp, `citadel keys create ${CONFIG} --name after`],
    guide.env,
  )
  expect(before, before.errors).toMatchObject({ status: 0 })
  await guide.lose()
  const restored = await machine.run([guide.restore, `citadel keys list ${CONFIG} --json`], guide.env)
  expect(restored, restored.errors).toMatchObject({ status: 0 })
  return restored.output
}

test(
  'SQLite comes back as it was',
  async () => {
    await using machine = await makeMachine()
    const data = join(machine.folder, 'lib')
    await writeFile(join(machine.folder, 'etc/gateway.yaml'), `service: { data_dir: ${data} }\n`)

    const keys = await loseAndRestore(machine, {
      backUp: backUpFile,
      restore: restoreFile,
      async lose() {
        await rm(data, { recursive: true })
        await mkdir(data)
        await writeFile(join(data, 'citadel.db'), 'not a database any more')
      },
    })

    expect(keys).toContain('"before"')
    expect(keys).not.toContain('"after"')
  },
  RESTORE_MS,
)

test(
  'SQLite is copied again the next day, for its owner alone, and a copy of nothing replaces none',
  async () => {
    await using machine = await makeMachine()
    const [data, copy] = [join(machine.folder, 'lib'), join(machine.folder, 'backups/citadel.db')]
    await writeFile(join(machine.folder, 'etc/gateway.yaml'), `service: { data_dir: ${data} }\n`)
    const keys = () => {
      const file = new Database(copy, { readonly: true })
      const names = file.query<{ name: string }, []>('SELECT name FROM keys ORDER BY name').all()
      file.close()
      return names.map(({ name }) => name)
    }

    const first = await machine.run([`citadel keys create ${CONFIG} --name one`, backUpFile])
    await writeFile(`${copy}.new`, 'the copy of a night without power')
    const second = await machine.run([`citadel keys create ${CONFIG} --name two`, backUpFile])
    await rm(join(data, 'citadel.db'))
    const third = await machine.run([backUpFile])

    expect([first, second, third].map(({ status }) => status === 0)).toEqual([true, true, false])
    expect([keys(), statSync(copy).mode & 0o777]).toEqual([['one', 'two'], 0o600])
  },
  RESTORE_MS,
)

test(
  'Postgres comes back as it was, in another server',
  async () => {
    await using postgres = await startPostgres()
    await using machine = await makeMachine()
    const [first, second] = [await postgres.database(), await postgres.database()]
    const configure = (url: string) =>
      writeFile(join(machine.folder, 'etc/gateway.yaml'), `database: { url: "${url}" }\n`)
    await configure(first)
    const env = { DATABASE_URL: first }

    const keys = await loseAndRestore(machine, {
      backUp: backUpPostgres,
      restore: restorePostgres.replaceAll('$DATABASE_URL', second),
      env,
      async lose() {
        const sql = new SQL({ url: second, max: 1 })
        await sql.unsafe(`DROP DATABASE ${new URL(first).pathname.slice(1)}`)
        await sql.close()
        // What the commands read is the configuration of the new place.
        Object.assign(env, { DATABASE_URL: second })
        await configure(second)
      },
    })

    expect(keys).toContain('"before"')
    expect(keys).not.toContain('"after"')
  },
  RESTORE_MS,
)
