import type { Hired } from './member.ts'
import type { Order, Report } from './messages.ts'

/** Where the files of a program are that is one executable. */
const EMBEDDED = '/$bunfs/'

/** Starts the process of a worker: this same program, which hears orders instead of a command line. */
export function hireProcess(hears: { report(report: Report): void; exit(how: string): void }): Hired {
  const child = Bun.spawn([...program(), 'worker'], {
    stdio: ['ignore', 'inherit', 'inherit'],
    serialization: 'advanced',
    ipc: (report: Report) => hears.report(report),
    onExit: (_child, status, signal) => hears.exit(status === null ? `by signal ${signal}` : `with status ${status}`),
  })
  return {
    pid: child.pid,
    send(order: Order) {
      // It is told nothing more once it has begun to end.
      if (child.exitCode === null && !child.killed) sendTo(child, order)
    },
    kill: () => child.kill('SIGKILL'),
  }
}

function sendTo(child: { send(message: Order): void }, order: Order): void {
  try {
    child.send(order)
  } catch {
    // It has just died, which is told in a moment.
  }
}

function program(): string[] {
  if (Bun.main.startsWith(EMBEDDED)) return [process.execPath]
  return [process.execPath, ...process.execArgv, Bun.main]
}
