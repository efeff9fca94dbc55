import { describe, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { appendFile, chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { environmentTable } from '#config/env.ts'
import { parseEnvFile } from '#config/env-file.ts'
import { readGuides } from '#http/docs/guides.ts'
import { EXIT } from '#src/cli/output.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { DEPLOY, ROOT, read, sayingAll, stopSeconds } from './files.ts'

const UNIT = 'systemd/citadel.service'
/** From 0, nothing is left to take away, to 10. */
const EXPOSURE_MAX = 2

/** The values of a setting of the unit. */
function valuesOf(name: string): string[] {
  return [...read(UNIT).matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

/** Runs a check on a copy of the unit that starts the runtime of these tests.
 *
 * @returns All that it says. */
async function analyze(words: readonly string[], change = (text: string) => text): Promise<string> {
  const folder = await ownFolder('citadel-unit-')
  const file = join(folder.path, 'citadel.service')
  await writeFile(file, change(read(UNIT)).replace('/usr/local/bin/bun', process.execPath))
  try {
    return await sayingAll('systemd-analyze', ...words, file)
  } finally {
    await folder.remove()
  }
}

/** The command that the guide installs, for files of these tests. */
function commandIn(etc: string, state: string): string {
  return read('systemd/citadel')
    .replaceAll('/etc/citadel', etc)
    .replaceAll('/var/lib/citadel', state)
    .replaceAll('/usr/local/bin/bun', process.execPath)
    .replaceAll('/opt/citadel', ROOT)
    .replace('--reuid=citadel --regid=citadel', '--reuid=nobody --regid=nogroup')
}

describe('the unit', () => {
  test('is one that systemd understands to the last word', async () => {
    expect(await analyze(['verify'])).toBe('')
    expect(await analyze(['verify'], text => text.replace('NoNewPrivileges', 'NoNewPrivilege'))).toContain(
      'Unknown key',
    )
  })

  test('leaves little to whoever breaks into the gateway', async () => {
    const said = await analyze(['security', '--offline=true', `--threshold=${EXPOSURE_MAX * 10}`])

    expect(Number(/exposure level for citadel.service: ([\d.]+)/.exec(said)?.[1])).toBeLessThan(EXPOSURE_MAX)
  })

  test('waits until running answers have finished', () => {
    expect(Number(valuesOf('TimeoutStopSec')[0])).toBeGreaterThan(stopSeconds())
  })

  test('does not start again what cannot work', () => {
    expect(valuesOf('RestartPreventExitStatus')).toEqual([`${EXIT.usage} ${EXIT.config}`])
  })

  test('reloads what is right only, and says what is wrong where the journal gets it', async () => {
    const [check = '', signal] = valuesOf('ExecReload')
    const folder = await ownFolder('citadel-reload-')
    await chmod(folder.path, 0o755)
    const [command, config] = [join(folder.path, 'citadel'), join(folder.path, 'gateway.yaml')]
    await writeFile(command, commandIn(folder.path, folder.path), { mode: 0o755 })
    const [, words = ''] = /^\+\/bin\/sh -c '(.*)'$/.exec(check) ?? []
    const reload = async (text: string) => {
      await writeFile(config, text)
      return Bun.spawnSync(['sh', '-c', words.replace('/usr/local/bin/citadel', command)])
    }

    const [right, wrong] = [await reload('servers: []\n'), await reload('serverz: []\n')]
    await folder.remove()

    expect([right.exitCode, String(right.stdout)]).toEqual([EXIT.ok, ''])
    expect([wrong.exitCode, String(wrong.stdout)]).toEqual([EXIT.config, ''])
    expect(String(wrong.stderr)).toContain(`${config}:1:1`)
    expect(signal).toBe('/bin/kill -HUP $MAINPID')
  })

  test('runs as a user that there is', async () => {
    const folder = await ownFolder('citadel-users-')
    const file = join(DEPLOY, 'systemd/citadel.sysusers')
    const said = await sayingAll('systemd-sysusers', '--dry-run', `--root=${folder.path}`, file).finally(folder.remove)

    expect(said).toContain(`Creating user '${valuesOf('User')[0]}'`)
  })

  test('writes its log where there is a folder, which logrotate looks into', () => {
    const [, path = ''] = /^append:(.*)$/.exec(valuesOf('StandardOutput')[0] ?? '') ?? []

    expect(read('systemd/citadel.tmpfiles')).toMatch(
      new RegExp(`^d ${dirname(path)} 0750 root ${valuesOf('Group')[0]}$`, 'm'),
    )
    expect(read('systemd/citadel.logrotate')).toMatch(new RegExp(`^${dirname(path)}/\\*\\.log \\{$`, 'm'))
  })
})

test('the guide puts each file where it says it belongs', () => {
  const guide = readGuides().find(({ slug }) => slug === 'deploy')?.markdown ?? ''
  const installed = [...guide.matchAll(/^install -D -m \d+ (citadel\S*|secrets\.env) (\S+)/gm)]
  const headed = readdirSync(join(DEPLOY, 'systemd')).map(file => {
    const [, path = ''] = /^# (\/(?:etc|usr)\/\S+?):?(?:,|\s)/m.exec(read(`systemd/${file}`)) ?? []
    return [file, path]
  })

  expect(Object.fromEntries(installed.map(([, file, path]) => [file, path]))).toEqual(Object.fromEntries(headed))
})

describe('the environment files', () => {
  const uncommented = (file: string) => parseEnvFile(read(file).replaceAll(/^#(?=[A-Z_]+=)/gm, ''))

  test('name what the gateway reads', () => {
    const known = environmentTable.map(({ name }) => name)
    const names = Object.keys(uncommented('systemd/citadel.env'))

    expect(names.length).toBeGreaterThan(3)
    expect(names.filter(name => !known.includes(name))).toEqual([])
  })

  test('say nothing until somebody says it, and secrets stand in the other one', () => {
    for (const file of ['systemd/citadel.env', 'systemd/secrets.env']) expect(parseEnvFile(read(file))).toEqual({})
    expect(Object.keys(uncommented('systemd/secrets.env'))).toContain('DATABASE_URL')
    expect(valuesOf('LoadCredential')).toEqual(['secrets.env:/etc/citadel/secrets.env'])
  })
})

describe('the command', () => {
  test('works on the database of the service, with its configuration and secrets, as its user', async () => {
    const folder = await ownFolder('citadel-command-')
    const state = join(folder.path, 'state')
    const isRoot = process.getuid?.() === 0
    await mkdir(state)
    await chmod(folder.path, 0o755)
    if (isRoot) await sayingAll('chown', 'nobody', state)
    await writeFile(join(folder.path, 'gateway.yaml'), `auth: { admin_keys: ["\${ADMIN_KEY}", "\${OTHER_KEY}"] }\n`)
    await chmod(join(folder.path, 'gateway.yaml'), 0o644)
    await writeFile(join(folder.path, 'secrets.env'), '# kept\nADMIN_KEY="one-of-$two"\n', { mode: 0o600 })
    await writeFile(join(folder.path, 'citadel.env'), 'OTHER_KEY=of-another')
    const script = commandIn(folder.path, state)
    const citadel = (...words: string[]) => sayingAll('sh', '-c', script, 'citadel', ...words)

    const none = await citadel('keys', 'list').catch(String)
    await citadel('keys', 'create', '--name', 'me', '--role', 'admin')
    const listed = await citadel('keys', 'list')
    const { uid } = await stat(join(state, 'citadel.db'))
    const owner = (await stat(state)).uid
    await folder.remove()

    expect(none).toContain(`there is no database at ${join(state, 'citadel.db')}`)
    expect(listed).toMatch(/active +admin .* me\n$/)
    expect(uid).toBe(owner)
  })
})

describe('logrotate', () => {
  async function folderWith(lines: string) {
    const folder = await ownFolder('citadel-logs-')
    const config = join(folder.path, 'logrotate.conf')
    const log = join(folder.path, 'requests.log')
    await writeFile(config, read('systemd/citadel.logrotate').replace('/var/log/citadel', folder.path))
    await chmod(config, 0o644)
    await writeFile(log, lines)
    const rotate = (...words: string[]) => sayingAll('logrotate', '-s', join(folder.path, 'state'), ...words, config)
    return { folder, log, rotate }
  }

  test('finds nothing wrong', async () => {
    const { folder, rotate } = await folderWith('{}\n')

    const said = await rotate('-d')
    await folder.remove()

    expect(said).toContain('requests.log')
    expect(said).not.toMatch(/error/i)
  })

  test('rotates under a gateway that goes on writing', async () => {
    const { folder, log, rotate } = await folderWith('{"n":1}\n')

    await rotate('-f')
    await appendFile(log, '{"n":2}\n')
    const [now, kept] = [await readFile(log, 'utf8'), (await readdir(folder.path)).filter(name => /-\d+$/.test(name))]
    const old = await readFile(join(folder.path, kept[0] ?? ''), 'utf8')
    const { size } = await stat(log)
    await folder.remove()

    expect([now, old, size]).toEqual(['{"n":2}\n', '{"n":1}\n', 8])
  })
})
