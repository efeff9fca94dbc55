#!/usr/bin/env bun
import { fail, printHelp } from './output.ts'

/** Every command, loaded only when it is called: a start must not pay for the others. */
const COMMANDS: Readonly<
  Record<string, { readonly about: string; readonly run: (args: string[]) => Promise<number> }>
> = {
  start: { about: 'start the gateway', run: async args => (await import('./start.ts')).start(args) },
  check: {
    about: 'check configuration files without starting',
    run: async args => (await import('./check.ts')).check(args),
  },
  config: {
    about: '`config schema` prints the JSON Schema of the configuration',
    run: async args => (await import('./config.ts')).config(args),
  },
  keys: {
    about: '`keys create|list|show|rotate|revoke` works on the keys in the database',
    run: async args => (await import('./keys.ts')).keys(args),
  },
  audit: {
    about: '`audit verify` checks that nobody has changed the audit log',
    run: async args => (await import('./audit.ts')).audit(args),
  },
  migrate: {
    about: 'bring the database up to date; `--status` says whether it is',
    run: async args => (await import('./database.ts')).migrate(args),
  },
  worker: {
    about: 'one of several processes on a port; `start` starts it',
    run: async () => (await import('./workers/worker.ts')).work(),
  },
  version: { about: 'print the version', run: async () => (await import('./info.ts')).version() },
}

const [name = 'help', ...args] = process.argv.slice(2)
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
if (command !== undefined) {
  // Not awaited at top level: with a pending await there the runtime would only log what nobody caught.
  void command.run(args).then(
    status => {
      if (status !== 0) process.exitCode = status
    },
    error => fail(error instanceof Error ? error.message : String(error), 1),
  )
} else if (name === 'help' || name === '--help' || name === '-h') {
  printHelp(COMMANDS)
} else if (name === '--version' || name === '-v') {
  void import('./info.ts').then(({ version }) => version())
} else {
  fail(`unknown command "${name}". Try: citadel help`, 64)
}
