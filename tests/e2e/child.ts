import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Large sources are kept compiled in the home folder, which is new here each time: a worker that outlives its supervisor
 * for a moment would make that folder again after it was removed. */
const NO_CACHE = { BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0' }

const SOURCES = [process.execPath, new URL('../../src/cli/main.ts', import.meta.url).pathname]

/** The gateway's own command, run as an operator runs it. */
export interface Child {
  readonly pid: number
  /** The folder that it was started in, which holds its files. */
  readonly folder: string
  /** Resolves with the exit status. */
  readonly exited: Promise<number>
  /** All that it has written so far. */
  out(): string
  err(): string
  /** Resolves when what it wrote matches; on standard error unless told otherwise.
   *
   * @throws Error with all that it wrote when it ends before. */
  said(pattern: RegExp, where?: 'out' | 'err'): Promise<RegExpExecArray>
  kill(signal: NodeJS.Signals): void
  [Symbol.asyncDispose](): Promise<void>
}

/** What a command is run with. */
export interface ChildOptions {
  /** Texts of files in its folder, by name. */
  readonly files?: Readonly<Record<string, string>>
  /** Its environment; nothing of the tests' own leaks into it but `PATH`. */
  readonly env?: Readonly<Record<string, string>>
  /** What is run; the gateway from its sources unless told otherwise. */
  readonly program?: readonly string[]
  /** What stands on its standard input; nothing by default. */
  readonly input?: string
}

/** Runs the command in a folder of its own. */
export async function run(
  args: readonly string[],
  { files = {}, env = {}, program = SOURCES, input }: ChildOptions = {},
): Promise<Child> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-cli-'))
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  const child = Bun.spawn([...program, ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', HOME: folder, ...NO_CACHE, ...env },
    stdin: input === undefined ? 'ignore' : new TextEncoder().encode(input),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  const [out, err] = [collect(child.stdout), collect(child.stderr)]
  return {
    pid: child.pid,
    folder,
    exited: Promise.all([child.exited, out.ended, err.ended]).then(([status]) => status),
    out: out.text,
    err: err.text,
    async said(pattern, where = 'err') {
      const found = await (where === 'err' ? err : out).until(pattern)
      if (found !== null) return found
      throw new Error(`it never said ${pattern}:\n${out.text()}\n${err.text()}`)
    },
    kill: signal => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await child.exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A gateway that has started. */
export interface Started extends Child {
  /** Its address without a slash at the end. */
  readonly url: string
}

/** Starts the gateway with the text of a configuration file on a free port; resolves when it has said so. */
export async function start(
  configuration: string | null,
  env: Readonly<Record<string, string>> = {},
  more: readonly string[] = [],
): Promise<Started> {
  const files: Record<string, string> = configuration === null ? {} : { 'gateway.yaml': configuration }
  const named = configuration === null ? [] : ['--config', 'gateway.yaml']
  const child = await run(['start', '--port', '0', ...named, ...more], { files, env })
  const [, url = ''] = await child.said(/listens on (https?:\S+)[\s\S]*\n {2}try .*\n/)
  return { ...child, url }
}

function collect(stream: ReadableStream<Uint8Array>) {
  const looks = new Set<() => void>()
  let text = ''
  let over = false
  const look = () => {
    for (const each of [...looks]) each()
  }
  const ended = read()

  async function read(): Promise<void> {
    const decoder = new TextDecoder()
    for await (const bytes of stream) {
      text += decoder.decode(bytes, { stream: true })
      look()
    }
    over = true
    look()
  }

  return {
    ended,
    text: () => text,
    until: (pattern: RegExp) =>
      new Promise<RegExpExecArray | null>(resolve => {
        const each = () => {
          const found = pattern.exec(text)
          if (found === null && !over) return
          looks.delete(each)
          resolve(found)
        }
        looks.add(each)
        each()
      }),
  }
}
