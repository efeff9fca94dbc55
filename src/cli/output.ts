import { writeSync } from 'node:fs'
import { explainOptions, type Takes } from './option-help.ts'

const STDOUT = 1
/** How long a reader that is slower than we are is given before the next try. */
const READER_PAUSE_MS = 10

/** Exit statuses, as in sysexits.h: what a service manager can tell apart. */
export const EXIT = { ok: 0, failure: 1, usage: 64, unavailable: 69, config: 78 } as const

/** The meaning of each exit status; the guide has the same table. */
export const EXIT_MEANINGS: Readonly<Record<keyof typeof EXIT, string>> = {
  ok: 'fine',
  failure: 'something is not as it should be; the output says what',
  usage: 'wrong command line',
  unavailable: 'the port is taken, or the gateway or the database cannot be reached',
  config: 'the configuration is wrong',
}

/** An entry of the table of commands. */
export interface Command {
  readonly about: string
  /** What follows its name, a line each. */
  readonly usage: readonly string[]
  /** The options that it takes besides. */
  readonly takes: Takes
  /** Runs it; resolves with the exit status. */
  readonly run: (args: string[]) => Promise<number>
}

/** A failure of a command or of a worker, with a message for the user and the exit status. */
export class CommandFailed extends Error {
  readonly status: number

  constructor(message: string, status: number) {
    super(message)
    this.name = 'CommandFailed'
    this.status = status
  }
}

/** Writes a notice to standard error. Not by `console.error`, which is for failures: the runtime prints it in red. */
export function say(text: string): void {
  console.warn(text)
}

/** Writes a result to standard output. Who reads it may leave at any time; but what cannot be written, as on a full disk,
 * is a failure: the file would be taken for whole, and a key is shown only once. */
export function print(text: string): void {
  const bytes = Buffer.from(`${text}\n`)
  let from = 0
  while (from < bytes.length) {
    try {
      from += writeSync(STDOUT, bytes, from)
    } catch (thrown) {
      const refusal = refusalOf(thrown)
      if (refusal === null) return
      if (!/EAGAIN/.test(refusal)) return void fail(refusal, EXIT.failure)
      Bun.sleepSync(READER_PAUSE_MS)
    }
  }
}

/** What is to be said of a standard output that refuses a text; `null` when only its reader has left, as `head` does. */
export function refusalOf(thrown: unknown): string | null {
  const said = thrown instanceof Error ? thrown.message : String(thrown)
  return /EPIPE/.test(said) ? null : `standard output cannot be written: ${said}`
}

/** How many there are, in words: `1 model`, `2 models`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Writes an error message to standard error, and sets the exit status. */
export function fail(message: string, status: number): number {
  console.error(`citadel: ${message}`)
  process.exitCode = status
  return status
}

/** Reports a wrong command line. The parser's hint about `--` is left out: it does not help with a mistyped option. */
export function failUsage(thrown: unknown, status: number = EXIT.usage): number {
  const [said] = (thrown instanceof Error ? thrown.message : String(thrown)).split(
    /\.\s+(?:To specify|Did you forget) /,
  )
  const end = said?.endsWith('?') ? '' : '.'
  return fail(`${said}${end} Try: citadel ${process.argv[2]} --help`, status)
}

/** Whether the arguments contain `--help` or `-h`. */
export function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? args.length : end).some(each => each === '--help' || each === '-h')
}

/** Prints how a command is used. */
export function printCommand(name: string, command: Command): void {
  const options = explainOptions(command.usage, command.takes)
  print(
    [`citadel ${name}: ${command.about}`, usageOf(name, command).join('\n'), options.join('\n')].join('\n\n').trimEnd(),
  )
}

function usageOf(name: string, { usage }: Command): readonly string[] {
  return usage.map(rest => `citadel ${name} ${rest}`.trimEnd())
}

const COMMON = `Commands that read a configuration take --config FILE and --env-file FILE; both may be repeated.
healthcheck, models and chat ask a running gateway: the one that --url ADDRESS and --key KEY (or CITADEL_URL and
CITADEL_API_KEY) name, else the one of this machine, found by the configuration or by --host ADDRESS and --port N.`

/** Prints the commands. */
export function printHelp(commands: Readonly<Record<string, Command>>): void {
  const lines = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(11)} ${about}`)
  const usage = Object.entries(commands).flatMap(([name, command]) => usageOf(name, command))
  const statuses = Object.entries(EXIT).map(
    ([name, status]) =>
      `  ${`${status}`.padEnd(3)} ${Object.entries(EXIT_MEANINGS).find(([each]) => each === name)?.[1]}`,
  )
  print(`citadel: one OpenAI-compatible front door for every model server

Usage: citadel <command> [options]

${lines.join('\n')}

${usage.join('\n')}

Without a configuration the gateway looks for local model servers and provider keys by itself.
${COMMON}

Exit status:

${statuses.join('\n')}`)
}
