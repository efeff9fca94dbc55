import { openSync, readdirSync, readFileSync } from 'node:fs'

/** A process that the benchmark started and will stop. */
export interface Running {
  readonly pid: number
  stop(): Promise<void>
}

/** How a process is started. */
export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** A file for all that it prints. */
  readonly log: string
}

/** Starts a process that sees nothing of this one's environment but its paths. */
export function start(command: readonly string[], { env = {}, cwd, log }: StartOptions): Running {
  const output = openSync(log, 'a')
  const child = Bun.spawn([...command], {
    env: { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '', ...env },
    ...(cwd ? { cwd } : {}),
    stdio: ['ignore', output, output],
  })
  return {
    pid: child.pid,
    async stop() {
      child.kill('SIGTERM')
      const killer = setTimeout(() => child.kill('SIGKILL'), 5000)
      await child.exited
      clearTimeout(killer)
    },
  }
}

/** Processor time that a process and its children have used, user and system, in microseconds.
 *
 * The scheduler counts nanoseconds for each thread; where it does not, `stat` counts hundredths of a second. */
export function cpuMicros(pid: number): number {
  return familyOf(pid).reduce((sum, one) => sum + (scheduledMicros(one) || tickedMicros(one)), 0)
}

/** Memory of a process and its children that is in RAM, in bytes. */
export function residentBytes(pid: number): number {
  return familyOf(pid).reduce((sum, one) => {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${one}/status`, 'latin1'))?.[1]
    return sum + Number(kilobytes ?? 0) * 1024
  }, 0)
}

/** A port that was free a moment ago. */
export function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } })
  const { port } = listener
  listener.stop(true)
  return port
}

/** Asks until there is an answer of 200.
 *
 * @throws Error With the last answer after `seconds`. */
export async function untilReady(url: string, init: RequestInit, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000
  let last = ''
  while (performance.now() < end) {
    try {
      const answer = await fetch(url, { ...init, signal: AbortSignal.timeout(2000) })
      last = `HTTP ${answer.status} ${(await answer.text()).slice(0, 300)}`
      if (answer.ok) return
    } catch (error) {
      last = String(error)
    }
    await Bun.sleep(50)
  }
  throw new Error(`not ready after ${seconds} s: ${last}`)
}

function familyOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').trim()
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap(child => familyOf(Number(child))))]
}

function scheduledMicros(pid: number): number {
  let nanoseconds = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0])
    } catch {
      // The thread ended between the two calls, or the kernel keeps no such count.
    }
  }
  return nanoseconds / 1000
}

function tickedMicros(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}
