#!/usr/bin/env bun
import { didYouMean } from '#lib/closest.ts'
import { asksForHelp, type Command, EXIT, fail, printCommand, printHelp } from './output.ts'

/** Every command, loaded only when it is called: a start must not pay for the others. */
const COMMANDS: Readonly<Record<string, Command>> = {
  start: {
    about: 'start the gateway',
    takes: 'configuration',
    usage: ['[--config FILE]... [--env-file FILE]... [--host ADDRESS] [--port N]'],
    run: async args => (await import('./start.ts')).start(args),
  },
  check: {
    about: 'check configuration files without starting',
    takes: 'configuration',
    usage: ['[FILE]... [--env-file FILE]... [--json]'],
    run: async args => (await import('./check.ts')).check(args),
  },
  doctor: {
    about: 'examine servers, stores and this machine; say what is wrong and what to do',
    takes: 'configuration',
    usage: ['[--config FILE]... [--no-calls] [--timeout 30s] [--json]'],
    run: async args => (await import('./doctor.ts')).doctor(args),
  },
  healthcheck: {
    about: 'ask a running gateway whether it is ready; for containers',
    takes: 'gateway',
    usage: ['[--url ADDRESS] [--timeout 5s]'],
    run: async args => (await import('./healthcheck.ts')).healthcheck(args),
  },
  models: {
    about: 'list the models of a running gateway',
    takes: 'gateway',
    usage: ['[--url ADDRESS] [--key KEY] [--json]'],
    run: async args => (await import('./models.ts')).models(args),
  },
  chat: {
    about: 'ask a model through a running gateway, and show the answer as it comes',
    takes: 'gateway',
    usage: ['[--model NAME] [--system TEXT] [--json] [PROMPT]      without one: standard input'],
    run: async args => (await import('./chat.ts')).chat(args),
  },
  config: {
    about: 'show what is configured and where it was written, or the JSON Schema',
    takes: 'configuration',
    usage: ['show [--resolved] [--json] [--config FILE]...', 'schema'],
    run: async args => (await import('./config.ts')).config(args),
  },
  keys: {
    about: 'make, list, rotate and revoke the keys in the database',
    takes: 'files',
    usage: [
      `create --name NAME [--role ROLE] [--models A,B] [--expires DATE] [--budget USD/month]
                    [--requests-per-minute N] [--tokens-per-minute N] [--concurrent-requests N]
                    [--no-cache] [--signing] [--tenant NAME] [--json]`,
      'list [--tenant NAME] [--json]',
      'show|rotate|revoke ID [--overlap 1d] [--tenant NAME] [--json]',
    ],
    run: async args => (await import('./keys.ts')).keys(args),
  },
  audit: {
    about: 'check that nobody has changed the audit log',
    takes: 'files',
    usage: ['verify'],
    run: async args => (await import('./audit.ts')).audit(args),
  },
  migrate: {
    about: 'bring the database up to date, or say whether it is',
    takes: 'files',
    usage: ['[--status]'],
    run: async args => (await import('./migrate.ts')).migrate(args),
  },
  worker: {
    about: 'internal: one of several processes on a port, started by `start`',
    takes: 'nothing',
    usage: [],
    run: async () => (await import('./workers/worker.ts')).work(),
  },
  completion: {
    about: 'print the completion script for a shell',
    takes: 'nothing',
    usage: ['bash|zsh|fish'],
    run: async args => (await import('./completion.ts')).completion(args, COMMANDS),
  },
  version: {
    about: 'print the version',
    takes: 'nothing',
    usage: ['[--json]'],
    run: async args => (await import('./version.ts')).version(args),
  },
}

/** What other programs call their commands. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  launch: 'start',
  run: 'start',
  serve: 'start',
  server: 'start',
  up: 'start',
  lint: 'check',
  test: 'check',
  validate: 'check',
  ping: 'healthcheck',
  status: 'healthcheck',
  diagnose: 'doctor',
  upgrade: 'migrate',
}

const [first = 'help', ...rest] = process.argv.slice(2)
// `citadel help keys` means `citadel keys --help`.
const [name, args] = first === 'help' && rest[0] !== undefined ? [rest[0], ['--help']] : [first, rest]
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
if (command !== undefined && asksForHelp(args)) {
  printCommand(name, command)
} else if (command !== undefined) {
  // Not awaited at top level: while an await is pending there, the runtime only logs errors that nothing caught.
  void command.run(args).then(
    status => {
      if (status !== 0) process.exitCode = status
    },
    // Parts that were started may hold connections, which would keep the process alive.
    error => process.exit(fail(error instanceof Error ? error.message : String(error), 1)),
  )
} else if (name === 'help' || name === '--help' || name === '-h') {
  printHelp(COMMANDS)
} else if (name === '--version' || name === '-v') {
  void import('./version.ts').then(({ version }) => version([]))
} else {
  fail(unknownCommand(name), EXIT.usage)
}

function unknownCommand(name: string): string {
  if (name.startsWith('-')) return 'a command comes first, such as: citadel start. Try: citadel help'
  const meant = Object.hasOwn(ELSEWHERE, name) ? `, did you mean "${ELSEWHERE[name]}"?` : ''
  return `unknown command "${name}"${meant || didYouMean(name, Object.keys(COMMANDS)) || '.'} Try: citadel help`
}
