/** Exit statuses, as in sysexits.h: what a service manager can tell apart. */
export const EXIT = { ok: 0, failure: 1, usage: 64, unavailable: 69, config: 78 } as const

/** Says on standard error what went wrong, and sets the exit status. */
export function fail(message: string, status: number): number {
  console.error(`citadel: ${message}`)
  process.exitCode = status
  return status
}

/** Prints the commands. */
export function printHelp(commands: Readonly<Record<string, { readonly about: string }>>): void {
  const lines = Object.entries(commands).map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  console.log(`citadel: one OpenAI-compatible front door for every model server

Usage: citadel <command> [options]

${lines.join('\n')}

citadel start [--config FILE]... [--env-file FILE]... [--host ADDRESS] [--port N]
citadel check [FILE]... [--env-file FILE]...
citadel config schema
citadel keys create --name NAME [--role ROLE] [--tenant NAME] [--json]; citadel keys list
citadel keys show|rotate|revoke ID
citadel migrate [--status]

Without a configuration the gateway looks for local model servers and provider keys by itself.
Exit status: 0 fine, 64 wrong usage, 69 the port is taken or the database away, 78 the configuration is wrong.`)
}
