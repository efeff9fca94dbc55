import { chmod, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Outcome, outcomeOf } from '#tests/support/output.ts'
import { readSnippets } from './snippets.ts'

const MAIN = new URL('../../src/cli/main.ts', import.meta.url).pathname

/** A machine as the guides describe it, in a folder: the command is installed, and its places are below the folder. */
export interface Machine {
  /** Where `/etc/citadel` and the other places are, and where commands run. */
  readonly folder: string
  /** Runs blocks of a guide, one after the other in one shell; a command that fails ends it. */
  run(blocks: readonly string[], env?: Readonly<Record<string, string>>): Promise<Outcome>
  /** A text of a guide, as it holds on this machine. */
  here(text: string): string
  [Symbol.asyncDispose](): Promise<void>
}

/** The blocks of a guide that are tried, in their order. */
export function triedBlocks(guide: string, language: string): readonly string[] {
  return readSnippets()
    .filter(({ name, info }) => name.startsWith(`${guide}:`) && info === `${language} tried`)
    .map(({ code }) => code)
}

/** Makes a machine.
 *
 * @param differs What stands in the guides, and what holds here instead, such as ports. */
export async function makeMachine(differs: Readonly<Record<string, string>> = {}): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-machine-'))
  const places = { '/etc/citadel': 'etc', '/var/lib/citadel': 'lib', '/var/backups': 'backups' }
  for (const place of [...Object.values(places), 'bin', 'home']) await mkdir(join(folder, place))
  // As the guide installs it.
  await symlink(MAIN, join(folder, 'bin/citadel'))
  await symlink(process.execPath, join(folder, 'bin/bun'))
  await Bun.write(join(folder, 'bin/sudo'), '#!/bin/sh\n[ "$1" != -u ] || shift 2\nexec "$@"\n')
  await chmod(join(folder, 'bin/sudo'), 0o755)
  const moved = Object.entries(places).map(([from, to]) => [from, join(folder, to)] as const)
  const here = (text: string) =>
    [...moved, ...Object.entries(differs)].reduce((all, [from, to]) => all.replaceAll(from, to), text)
  return {
    folder,
    here,
    async run(blocks, env = {}) {
      const child = Bun.spawn(['bash', '-eu', '-c', blocks.map(here).join('\n')], {
        cwd: folder,
        env: { PATH: `${join(folder, 'bin')}:${process.env.PATH}`, HOME: join(folder, 'home'), ...env },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
      })
      return outcomeOf(child)
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  }
}
