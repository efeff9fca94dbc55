import { chown, mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { outcomeOf } from '#tests/support/output.ts'

/** A server that a test runs for itself: a real one, in a folder of its own, as a user without rights. */
export interface ServerProcess {
  /** Starts it, also again after it was stopped or killed; resolves when it takes connections. */
  start(): Promise<void>
  /** Stops it as its own manual says. */
  stop(): Promise<void>
  /** Ends it at once, as a power cut does. */
  kill(): Promise<void>
  /** Stops it in the middle of what it does, so that it answers nothing and refuses nothing. */
  pause(): void
  resume(): void
}

/** What is run. */
export interface ServerProgram {
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly stopSignal: NodeJS.Signals
  readonly ready: () => Promise<boolean>
  /** Who runs it; needed by what refuses to be run by root. */
  readonly user?: Ids
}

/** A user of this machine. */
export interface Ids {
  readonly uid: number
  readonly gid: number
}

const READY_MS = 20_000
const LOOK_EVERY_MS = 20

/** Prepares a server that is not started yet. */
export function serverProcess(program: ServerProgram): ServerProcess {
  let child: Bun.Subprocess<'ignore', 'ignore', 'pipe'> | null = null

  async function end(signal: NodeJS.Signals): Promise<void> {
    const ending = child
    if (ending === null) return
    child = null
    ending.kill('SIGCONT')
    ending.kill(signal)
    await ending.exited
  }

  return {
    async start() {
      const started = Bun.spawn([...asUser(program.user), ...program.command], {
        cwd: '/',
        env: { PATH: process.env.PATH ?? '', LC_ALL: 'C', ...program.env },
        stdin: 'ignore',
        stdout: 'ignore',
        stderr: 'pipe',
      })
      child = started
      const said = new Response(started.stderr).text()
      const deadline = performance.now() + READY_MS
      while (!(await program.ready())) {
        if (started.exitCode !== null) throw new Error(`${program.command[0]} ended:\n${await said}`)
        if (performance.now() > deadline) {
          await end('SIGKILL')
          throw new Error(`${program.command[0]} was not ready in ${READY_MS} ms:\n${await said}`)
        }
        await Bun.sleep(LOOK_EVERY_MS)
      }
    },
    stop: () => end(program.stopSignal),
    kill: () => end('SIGKILL'),
    pause: () => child?.kill('SIGSTOP'),
    resume: () => child?.kill('SIGCONT'),
  }
}

/** Runs a program to its end.
 *
 * @returns What it wrote on standard output.
 * @throws Error with what it wrote on standard error when it fails. */
export async function runProgram(command: readonly string[], user?: Ids): Promise<string> {
  const child = Bun.spawn([...asUser(user), ...command], {
    cwd: '/',
    env: { PATH: process.env.PATH ?? '', LC_ALL: 'C' },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const { status, output, errors } = await outcomeOf(child)
  if (status !== 0) throw new Error(`${command.join(' ')} failed:\n${output}${errors}`)
  return output
}

/** Makes a folder that the user may write, and a way to remove it. */
export async function ownFolder(prefix: string, user?: Ids): Promise<{ path: string; remove(): Promise<void> }> {
  const path = await mkdtemp(join(tmpdir(), prefix))
  if (user !== undefined) await chown(path, user.uid, user.gid)
  return { path, remove: () => rm(path, { recursive: true, force: true }) }
}

/** Finds ports on loopback that nobody listens on, all different. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      server =>
        new Promise<number>(resolve =>
          server.listen(0, '127.0.0.1', () => {
            const address = server.address()
            resolve(typeof address === 'object' && address !== null ? address.port : 0)
          }),
        ),
    ),
  )
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** Finds a port on loopback that nobody listens on. */
export async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}

/** Whether nobody listens at an address. */
export function isRefused(url: string): Promise<boolean> {
  return fetch(url, { keepalive: false }).then(
    () => false,
    () => true,
  )
}

/** Dies with the tests, also when they are killed. */
function asUser(user: Ids | undefined): string[] {
  const other = user === undefined ? [] : [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups']
  return ['setpriv', '--pdeathsig', 'KILL', ...other]
}
