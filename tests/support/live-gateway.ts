import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** A gateway that runs in a process of its own. */
export interface LiveGateway {
  /** Its address without a slash at the end. */
  readonly url: string
  stop(): Promise<void>
}

const CLI = new URL('../../src/cli/main.ts', import.meta.url).pathname
const START_MS = 10_000
const STOP_MS = 5_000

/** Starts the gateway as an operator would, on a free port.
 *
 * @param configuration The text of its configuration file; `null` for none.
 * @param env Its environment; nothing of the tests' own leaks into it but `PATH`.
 * @throws Error with what it said when it does not start. */
export async function startLiveGateway(
  configuration: string | null,
  env: Readonly<Record<string, string>> = {},
): Promise<LiveGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'citadel-live-'))
  const file = join(folder, 'gateway.yaml')
  if (configuration !== null) await writeFile(file, configuration)
  const child = Bun.spawn(
    [process.execPath, CLI, 'start', '--port', '0', ...(configuration === null ? [] : ['--config', file])],
    {
      cwd: folder,
      env: { PATH: process.env.PATH ?? '', HOME: folder, ...env },
      stdin: 'ignore',
      stdout: 'ignore',
      stderr: 'pipe',
    },
  )
  const stop = async () => {
    // An interrupt drains without the delay that is meant for load balancers.
    child.kill('SIGINT')
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
    await child.exited
    clearTimeout(late)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    return { url: await addressOf(child.stderr), stop }
  } catch (thrown) {
    await stop()
    throw thrown
  }
}

/** Reads start-up lines until one names the address, and goes on reading so that the process never waits for a reader. */
async function addressOf(lines: ReadableStream<Uint8Array>): Promise<string> {
  const reader = lines.getReader()
  const decoder = new TextDecoder()
  const late = setTimeout(() => void reader.cancel(), START_MS)
  let text = ''
  try {
    while (true) {
      const { done, value } = await reader.read()
      if (done) throw new Error(`the gateway did not start:\n${text}`)
      text += decoder.decode(value, { stream: true })
      const address = /listens on (https?:\/\/\S+)/.exec(text)?.[1]
      if (address !== undefined) {
        void drain(reader)
        return address
      }
    }
  } finally {
    clearTimeout(late)
  }
}

async function drain(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
  while (!(await reader.read()).done);
}
