import type { WorkerProcess } from './member.ts'
import type { Order, Report } from './messages.ts'

/** The path of embedded files, when the program was compiled into a single executable. */
const EMBEDDED = '/$bunfs/'

/** Starts the process of a worker: this same program, which takes orders over IPC instead of a command line. */
export function spawnWorker(listener: { report(report: Report): void; exit(how: string): void }): WorkerProcess {
  const child = Bun.spawn([...program(), 'worker'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    serialization: 'advanced',
    ipc: (report: Report) => listener.report(report),
    onExit: (_child, status, signal) =>
      listener.exit(status === null ? `by signal ${signal}` : `with status ${status}`),
  })
  return {
    pid: child.pid,
    send(order: Order) {
      // A message to a process that has ended would throw.
      if (child.exitCode === null && !child.killed) sendTo(child, order)
    },
    kill: () => child.kill('SIGKILL'),
  }
}

function sendTo(child: { send(message: Order): void }, order: Order): void {
  try {
    child.send(order)
  } catch {
    // It has just died; `onExit` reports that in a moment.
  }
}

function program(): string[] {
  if (Bun.main.startsWith(EMBEDDED)) return [process.execPath]
  return [process.execPath, ...process.execArgv, Bun.main]
}
