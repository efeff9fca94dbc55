import { existsSync, readdirSync } from 'node:fs'
import { chown, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SQL } from 'bun'
import { freePort, type Ids, ownFolder, runProgram, type ServerProcess, serverProcess } from './server-process.ts'

/** A real Postgres with no data in it, on loopback. */
export interface Postgres extends Omit<ServerProcess, 'kill' | 'pause' | 'resume'> {
  /** The address of a new, empty database in it. */
  database(): Promise<string>
  /** Ends it at once, as a power cut does. */
  kill(): Promise<void>
  /** Lets it have no more memory than it has: whoever connects from now on is told that there is none. */
  starve(): Promise<void>
  /** Lets it have memory again. */
  feed(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

const VERSIONS = '/usr/lib/postgresql'
const SUPERUSER = 'citadel'

/** Starts Debian's Postgres in a folder of its own; it must not be run by root, so its package's user runs it then.
 *
 * @param password What it asks for; it asks for none by default.
 * @throws Error With the command that installs it when it is missing. */
export async function startPostgres(password: string | null = null): Promise<Postgres> {
  const bin = postgresBin()
  const user = process.getuid?.() === 0 ? await packageUser() : undefined
  const folder = await ownFolder('citadel-postgres-', user)
  const data = join(folder.path, 'data')
  const secret = join(folder.path, 'password')
  await writeFile(secret, password ?? 'none')
  // Where new files are for their owner alone, it could not be read.
  if (user !== undefined) await chown(secret, user.uid, user.gid)
  const access = ['-A', password === null ? 'trust' : 'scram-sha-256', '--pwfile', secret]
  await runProgram(
    [join(bin, 'initdb'), '-D', data, '-U', SUPERUSER, ...access, '-E', 'UTF8', '--locale=C', '--no-sync'],
    user,
  )
  // Not before what takes seconds, in which somebody else may take it.
  const port = await freePort()
  const login = password === null ? SUPERUSER : `${SUPERUSER}:${password}`
  const address = (name: string) => `postgres://${login}@127.0.0.1:${port}/${name}`
  const server = serverProcess({
    command: [join(bin, 'postgres'), '-D', data, '-k', folder.path, '-h', '127.0.0.1', '-p', `${port}`, '-F'],
    // Ends its sessions instead of waiting for them.
    stopSignal: 'SIGINT',
    ready: () => answers(address('postgres')),
    user,
  })
  let databases = 0
  const limitMemory = async (bytes: (pid: number) => Promise<string>) => {
    const pid = await postmasterPid(data)
    await runProgram(['prlimit', `--pid=${pid}`, `--as=${await bytes(pid)}:unlimited`], user)
  }

  await server.start()
  return {
    start: server.start,
    stop: server.stop,
    // Its own word for a power cut; a killed parent would leave children that hold the memory of the next start.
    kill: async () => {
      const pid = await postmasterPid(data)
      process.kill(pid, 'SIGQUIT')
      await server.stop()
    },
    starve: () => limitMemory(async pid => `${await memoryOf(pid)}`),
    feed: () => limitMemory(async () => 'unlimited'),
    async database() {
      const name = `test_${++databases}`
      await administer(address('postgres'), `CREATE DATABASE ${name}`)
      return address(name)
    },
    async [Symbol.asyncDispose]() {
      await server.stop()
      await folder.remove()
    },
  }
}

/** Runs one statement on a connection of its own. */
async function administer(url: string, statement: string): Promise<void> {
  const sql = new SQL({ url, max: 1, connectionTimeout: 5 })
  try {
    await sql.unsafe(statement)
  } finally {
    await sql.close()
  }
}

function answers(url: string): Promise<boolean> {
  return administer(url, 'SELECT 1').then(
    () => true,
    () => false,
  )
}

async function postmasterPid(data: string): Promise<number> {
  const [pid = ''] = (await Bun.file(join(data, 'postmaster.pid')).text()).split('\n')
  return Number(pid)
}

/** The address space that a process has, in bytes. */
async function memoryOf(pid: number): Promise<number> {
  const status = await Bun.file(`/proc/${pid}/status`).text()
  return Number(/^VmSize:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

function postgresBin(): string {
  const versions = existsSync(VERSIONS) ? readdirSync(VERSIONS).sort((a, b) => Number(b) - Number(a)) : []
  const bin = versions.map(version => join(VERSIONS, version, 'bin')).find(path => existsSync(join(path, 'postgres')))
  if (bin !== undefined) return bin
  throw new Error(`No Postgres in ${VERSIONS}. Install the package postgresql (sudo apt-get install postgresql).`)
}

async function packageUser(): Promise<Ids> {
  const entry = await runProgram(['getent', 'passwd', 'postgres'])
  const [, , uid, gid] = entry.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}
