import { expect, test } from 'bun:test'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SQL } from 'bun'
import { startPostgres } from '#tests/support/postgres.ts'
import { makeMachine, triedBlocks } from './tried.ts'

const [grant = ''] = triedBlocks('databases.md', 'bash')
const CONFIG = '--config /etc/citadel/gateway.yaml'

test('a gateway whose user may make no tables works with those that their owner has made', async () => {
  await using postgres = await startPostgres()
  await using machine = await makeMachine({ 'TO citadel': 'TO app' })
  const owner = await postgres.database()
  const sql = new SQL({ url: owner, max: 1 })
  await sql.unsafe('CREATE ROLE app LOGIN')
  const configure = (url: string) =>
    writeFile(join(machine.folder, 'etc/gateway.yaml'), `database: { url: "${url}" }\n`)
  const env = { OWNER_URL: owner }

  await configure(owner)
  const migrated = await machine.run([`citadel migrate ${CONFIG}`], env)
  await configure(owner.replace('citadel@', 'app@'))
  const refused = await machine.run([`citadel keys create ${CONFIG} --name early`], env)
  const granted = await machine.run([grant, `citadel keys create ${CONFIG} --name late`], env)
  await sql.unsafe('CREATE TABLE later (id TEXT)')
  const rows: { may: boolean }[] = await sql`SELECT has_table_privilege('app', 'later', 'INSERT') AS may`

  expect(migrated, migrated.errors).toMatchObject({ status: 0 })
  expect(refused.errors).toContain('permission denied')
  expect(granted, granted.errors).toMatchObject({ status: 0 })
  expect(rows[0]?.may).toBe(true)
  await sql.close()
}, 60_000)
