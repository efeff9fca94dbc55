import { Database } from 'bun:sqlite'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { readMigrations } from '#stores/sql-migrations.ts'
import { startPostgres } from '#tests/support/postgres.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { keyWithSecret } from '#wire/keys.ts'
import { run, start } from './child.ts'

setDefaultTimeout(60_000)

const DEMO = 'gateway: { discover: false, demo: true }\n'

/** Runs a command to its end. */
async function citadel(args: readonly string[], env: Readonly<Record<string, string>>) {
  await using child = await run(args, { env })
  const status = await child.exited
  return { status, out: child.out().trim(), err: child.err().trim() }
}

function statusWith(url: string, path: string, key: string): Promise<number> {
  return fetch(url + path, { headers: { authorization: `Bearer ${key}` } }).then(({ status }) => status)
}

/** How long it takes until a question has another answer. */
async function msUntil(changed: () => Promise<boolean>): Promise<number> {
  const startedAt = performance.now()
  while (!(await changed())) {
    if (performance.now() - startedAt > 20_000) throw new Error('it never changed')
    await Bun.sleep(20)
  }
  return performance.now() - startedAt
}

describe('the key of the first start', () => {
  test('is shown once, opens the management, and is stored as a hash', async () => {
    await using folder = await disposable()
    const env = { XDG_DATA_HOME: folder.path }
    let key = ''
    {
      await using first = await start(DEMO, env)
      const said = await first.said(/admin +(ck_\S+)/)
      key = said[1] ?? ''
      expect(await statusWith(first.url, '/management/keys', key)).toBe(200)
      expect(await statusWith(first.url, '/management/keys', 'ck_wrong')).toBe(401)
      expect((await fetch(`${first.url}/v1/models`)).status).toBe(200)
      first.kill('SIGINT')
      await first.exited
    }
    await using second = await start(DEMO, env)
    await second.said(/try/)

    expect(await statusWith(second.url, '/management/keys', key)).toBe(200)
    expect(second.err()).not.toContain('ck_')
    for (const file of ['citadel.db', 'citadel.db-wal']) {
      const path = join(folder.path, 'citadel', file)
      if (existsSync(path)) expect((await readFile(path)).includes(key.slice(9))).toBe(false)
    }
    expect(statSync(join(folder.path, 'citadel')).mode & 0o777).toBe(0o700)
  })

  test('is not made where the configuration has one for the management', async () => {
    await using folder = await disposable()
    await using child = await start(`${DEMO}auth: { admin_keys: [sk-of-the-admin] }\n`, { XDG_DATA_HOME: folder.path })

    expect(await statusWith(child.url, '/management/keys', 'sk-of-the-admin')).toBe(200)
    expect(child.err()).not.toContain('ck_')
    expect(existsSync(join(folder.path, 'citadel', 'citadel.db'))).toBe(false)
  })

  test('is not made where nothing can be written, which is said, and calls are answered', async () => {
    await using folder = await disposable()
    const file = join(folder.path, 'in-the-way')
    await Bun.write(file, 'a file where a folder would have to be')
    await using child = await start(DEMO, { XDG_DATA_HOME: file })

    await child.said(/the database cannot be written, so no key for \/management was made/)

    expect((await fetch(`${child.url}/v1/models`)).status).toBe(200)
  })
})

describe('citadel keys', () => {
  test('makes, shows, lists, rotates and revokes, and a gateway that runs hears of it within five seconds', async () => {
    await using folder = await disposable()
    const env = { XDG_DATA_HOME: folder.path }
    await using child = await start(`${DEMO}auth: { mode: required, admin_keys: [sk-of-the-admin] }\n`, env)
    const existed = existsSync(join(folder.path, 'citadel', 'citadel.db'))
    const made = await citadel(
      ['keys', 'create', '--name', 'web', '--role', 'viewer', '--budget', '5/day', '--models', 'a, b'],
      env,
    )
    const works = async (key: string) => (await statusWith(child.url, '/v1/models', key)) === 200

    const heardMs = await msUntil(() => works(made.out))
    const list = JSON.parse((await citadel(['keys', 'list', '--json'], env)).out)
    const rotated = await citadel(['keys', 'rotate', list[0].id, '--overlap', '0s', '--json'], env)
    const next = keyWithSecret.parse(JSON.parse(rotated.out)).key
    const rotatedMs = await msUntil(async () => !(await works(made.out)))
    const before = await works(next)
    const revoked = await citadel(['keys', 'revoke', list[0].id], env)
    const revokedMs = await msUntil(async () => !(await works(next)))
    const shown = await citadel(['keys', 'show', list[0].id], env)
    const unknown = await citadel(['keys', 'show', 'x'], env)

    console.info(`keys: made ${heardMs} ms, rotated ${rotatedMs} ms, revoked ${revokedMs} ms`)
    expect(Math.max(heardMs, rotatedMs, revokedMs)).toBeLessThan(5000)
    expect(made.err).toContain('web')
    expect(made.err.includes('is new')).toBe(!existed)
    expect(list).toMatchObject([
      { name: 'web', role: 'viewer', created_by: 'cli', budget: { usd: 5, per: 'day' }, models: ['a', 'b'] },
    ])
    expect(before).toBe(true)
    expect([revoked.status, shown.out]).toEqual([0, revoked.out])
    expect([unknown.status, unknown.err]).toEqual([1, 'citadel: There is no key with this id.'])
    expect(shown.out).toContain('revoked')
  })

  test('tells the audit log what it changes, where one is kept', async () => {
    await using folder = await disposable()
    await using child = await start(
      `${DEMO}service: { data_dir: ${folder.path} }\nauth: { mode: required, admin_keys: [sk-of-the-admin] }\n`,
      {},
    )
    const config = ['--config', join(child.folder, 'gateway.yaml')]

    await citadel(['keys', 'create', '--name', 'web', ...config], {})
    const [{ id }] = JSON.parse((await citadel(['keys', 'list', '--json', ...config], {})).out)
    await citadel(['keys', 'rotate', id, ...config], {})
    await citadel(['keys', 'revoke', id, ...config], {})
    const response = await fetch(`${child.url}/management/audit?kind=administration`, {
      headers: { authorization: 'Bearer sk-of-the-admin' },
    })
    const { data } = await response.json()
    const checked = await citadel(['audit', 'verify', ...config], {})

    expect(data.map((row: { action: string }) => row.action)).toEqual(['key-revoked', 'key-rotated', 'key-created'])
    expect(data[0]).toMatchObject({ actor: 'cli', subject: id, tenant: 'default', outcome: 'ok' })
    expect([checked.status, checked.out]).toEqual([0, expect.stringContaining('the audit log is whole')])
  })

  test('works on Postgres, where several gateways share the keys', async () => {
    await using postgres = await startPostgres()
    const env = { DATABASE_URL: await postgres.database() }
    const configuration = `${DEMO}auth: { mode: required, admin_keys: [sk-of-the-admin], stale: 8s }\n`
    await using one = await start(configuration, env)
    await using two = await start(configuration, env)
    const post = (url: string, path: string, body: object) =>
      fetch(url + path, {
        method: 'POST',
        headers: { authorization: 'Bearer sk-of-the-admin' },
        body: JSON.stringify(body),
      })
    const made = keyWithSecret.parse(await (await post(one.url, '/management/keys', { name: 'web' })).json())
    const statuses = async (key: string) => [
      await statusWith(one.url, '/v1/models', key),
      await statusWith(two.url, '/v1/models', key),
    ]
    const both = await statuses(made.key)

    await postgres.kill()
    const known = await statuses(made.key)
    const databaseIs = async (url: string) => {
      const response = await fetch(`${url}/health/detailed`, { headers: { authorization: 'Bearer sk-of-the-admin' } })
      return (await response.json()).dependencies.database.available
    }
    await msUntil(async () => (await statuses(`ck_${'x'.repeat(43)}`)).every(status => status === 503))
    const staleMs = await msUntil(async () => (await statuses(made.key)).every(status => status === 503))
    const configured = await statuses('sk-of-the-admin')
    const away = [await databaseIs(one.url), await databaseIs(two.url)]
    await postgres.start()
    await msUntil(async () => (await statuses(made.key)).every(status => status === 200))
    await fetch(`${one.url}/management/keys/${made.id}`, {
      method: 'DELETE',
      headers: { authorization: 'Bearer sk-of-the-admin' },
    })
    const here = await statusWith(one.url, '/v1/models', made.key)
    const thereMs = await msUntil(async () => (await statusWith(two.url, '/v1/models', made.key)) === 401)

    console.info(`postgres: known keys good for ${staleMs} ms, revoked elsewhere after ${thereMs} ms`)
    expect([both, known, configured, here]).toEqual([[200, 200], [200, 200], [200, 200], 401])
    expect(away).toEqual([false, false])
    // The rows that wait are taken within five seconds, and until then the database is not called healthy.
    await msUntil(() => databaseIs(one.url))
    expect(staleMs).toBeLessThan(12_000)
    expect(thereMs).toBeLessThan(5000)
  })

  test.each<[string, readonly string[], number]>([
    ['nothing', [], 64],
    ['an unknown word', ['make'], 64],
    ['no id', ['revoke'], 64],
    ['an id too many', ['list', 'x'], 64],
    ['an unknown flag', ['list', '--all'], 64],
    ['no name', ['create'], 64],
    ['a role that is none', ['create', '--name', 'a', '--role', 'root'], 64],
    ['a day that is none', ['create', '--name', 'a', '--expires', 'soon'], 64],
    ['a budget that is none', ['create', '--name', 'a', '--budget', 'much'], 64],
    ['a limit that is none', ['create', '--name', 'a', '--tokens-per-minute', 'few'], 64],
    ['an overlap that is none', ['rotate', 'x', '--overlap', 'soon'], 64],
    ['an overlap without end', ['rotate', 'x', '--overlap', '31d'], 64],
    ['a tenant that cannot be one', ['list', '--tenant', 'a b'], 64],
    ['a key where there is no database', ['show', 'x'], 69],
    ['a list where there is no database', ['list'], 69],
    ['a configuration that is none', ['list', '--config', 'none.yaml'], 78],
  ])('says what is wrong with %s', async (_, args, status) => {
    await using folder = await disposable()
    const ended = await citadel(['keys', ...args], { XDG_DATA_HOME: folder.path })

    expect([ended.status, ended.out]).toEqual([status, ''])
    expect(ended.err).toStartWith('citadel: ')
    // In our words, and with the names of the flags.
    expect(ended.err).not.toMatch(/Invalid|received|_at|limits\.|positional/)
    if (args[0] === 'create') expect(ended.err).toContain(`${args.at(-2) ?? '--name'}: expected`)
  })
})

test('a tenant for which no key was made is told of, and is an empty list for programs', async () => {
  await using folder = await disposable()
  const env = { STATE_DIRECTORY: folder.path }
  await citadel(['migrate'], env)

  const [people, programs] = [
    await citadel(['keys', 'list', '--tenant', 'shpo'], env),
    await citadel(['keys', 'list', '--tenant', 'shpo', '--json'], env),
  ]

  expect([people.status, people.out, people.err]).toEqual([0, '', expect.stringContaining('for the tenant shpo')])
  expect([programs.status, programs.out, programs.err]).toEqual([0, '[]', ''])
})

describe('citadel migrate', () => {
  test('says what is pending, applies it once, and then has nothing to do', async () => {
    await using folder = await disposable()
    const env = { STATE_DIRECTORY: join(folder.path, 'state') }

    const results = [
      await citadel(['migrate', '--status'], env),
      await citadel(['migrate'], env),
      await citadel(['migrate'], env),
      await citadel(['migrate', '--status'], env),
    ]

    const steps = readMigrations().map(({ version }) => `${version}`.padStart(3, '0'))
    expect(results.map(({ status }) => status)).toEqual([1, 0, 0, 0])
    expect(results.map(({ out }) => out)).toEqual([
      steps.map(step => `${step}  pending`).join('\n'),
      steps.map(step => `${step}  applied`).join('\n'),
      'up to date',
      expect.stringMatching(new RegExp(`^${steps.map(step => `${step} {2}\\d{4}-[^\\n]+`).join('\\n')}$`)),
    ])
    expect(existsSync(join(folder.path, 'state', 'citadel.db'))).toBe(true)
  })

  test('says which steps a newer version has taken', async () => {
    await using folder = await disposable()
    const env = { STATE_DIRECTORY: folder.path }
    await citadel(['migrate'], env)
    const file = new Database(join(folder.path, 'citadel.db'))
    file.run('INSERT INTO migrations VALUES (999, 0)')
    file.close()

    const ended = await citadel(['migrate', '--status'], env)
    const doctor = await citadel(['doctor', '--no-calls', '--json'], env)

    expect(ended.status).toBe(0)
    const { findings } = JSON.parse(doctor.out)
    expect(findings).toContainEqual(
      expect.objectContaining({
        check: 'database',
        status: 'warning',
        detail: expect.stringContaining('a newer version'),
      }),
    )
    expect(ended.out.split('\n').slice(-2)).toEqual([
      expect.stringMatching(/^\d{3} {2}\S+$/),
      '999  1970-01-01T00:00:00.000Z  of a newer version',
    ])
  })

  test('says why a database cannot be used', async () => {
    const ended = await citadel(['migrate'], { DATABASE_URL: 'postgres://nobody:canary-password@127.0.0.1:1/none' })

    expect(ended.status).toBe(69)
    expect(ended.err).toMatch(
      /^citadel: the database cannot be used: .+\. Try: citadel doctor --no-calls, with the same/,
    )
    expect(ended.err).not.toContain('canary-password')
  })
})

/** A folder that is removed at the end of a test. */
async function disposable() {
  const { path, remove } = await ownFolder('citadel-data-')
  return { path, [Symbol.asyncDispose]: remove }
}
