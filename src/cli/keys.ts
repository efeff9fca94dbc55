import { DEFAULT_TENANT } from '#core/caller.ts'
import { systemClock } from '#core/clock.ts'
import type { KeyManagement, KeyWithSecret } from '#gateway/management/keys.ts'
import { parseDuration } from '#lib/duration.ts'
import { composeKeysCommand } from '#src/compose/keys-command.ts'
import { type KeyView, keyCreation, NAME_EXPECTED, OVERLAP_SECONDS_MAX, tenantName } from '#wire/keys.ts'
import { readArguments } from './arguments.ts'
import { failDatabase, missingFile, mustBeThere, withDatabase } from './database.ts'
import { FILE_OPTIONS, optionsOf, settle } from './options.ts'
import { EXIT, fail, print, say } from './output.ts'

const OPTIONS = {
  ...FILE_OPTIONS,
  tenant: { type: 'string', default: DEFAULT_TENANT },
  json: { type: 'boolean', default: false },
  name: { type: 'string' },
  role: { type: 'string' },
  models: { type: 'string' },
  expires: { type: 'string' },
  budget: { type: 'string' },
  'no-cache': { type: 'boolean', default: false },
  signing: { type: 'boolean', default: false },
  'requests-per-minute': { type: 'string' },
  'tokens-per-minute': { type: 'string' },
  'concurrent-requests': { type: 'string' },
  overlap: { type: 'string', default: '1d' },
} as const

const PAGE = 200
const SEE = 'Try: citadel keys --help'
const USAGE = `keys takes create, list, show ID, rotate ID or revoke ID. ${SEE}`

type Values = ReturnType<typeof parse>['values']

/** The parts in which the commands differ. */
type Command = (keys: KeyManagement, id: string, values: Values) => Promise<unknown>

const actor = ({ tenant }: Values) => ({ by: 'cli', tenant })

/** The options that all of them take. */
const EVERYWHERE: readonly string[] = [...Object.keys(FILE_OPTIONS), 'tenant', 'json']
const OF_ROTATE = ['overlap']
const OF_CREATE = Object.keys(OPTIONS).filter(name => !EVERYWHERE.includes(name) && !OF_ROTATE.includes(name))

const COMMANDS: Readonly<
  Record<string, { readonly takesId: boolean; readonly takes: readonly string[]; readonly run: Command }>
> = {
  create: {
    takesId: false,
    takes: OF_CREATE,
    run: (keys, _, values) => keys.create(actor(values), wishedKey(values)).then(show(values)),
  },
  list: { takesId: false, takes: [], run: listAll },
  show: { takesId: true, takes: [], run: (keys, id, values) => keys.show(values.tenant, id).then(show(values)) },
  rotate: {
    takesId: true,
    takes: OF_ROTATE,
    run: (keys, id, values) => keys.rotate(actor(values), id, overlapOf(values)).then(show(values)),
  },
  revoke: { takesId: true, takes: [], run: (keys, id, values) => keys.revoke(actor(values), id).then(show(values)) },
}

/** Makes, lists and ends keys in the database; gateways that run hear of it within seconds. */
export async function keys(args: readonly string[]): Promise<number> {
  try {
    const { values, positionals, tokens } = parse(args)
    const [name = '', id = '', ...rest] = positionals
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined
    if (command === undefined || rest.length > 0 || command.takesId !== (id !== '')) return fail(USAGE, EXIT.usage)
    const given = tokens.flatMap(token => (token.kind === 'option' ? token.name : []))
    const idle = given.find(option => !EVERYWHERE.includes(option) && !command.takes.includes(option))
    if (idle !== undefined) return fail(`keys ${name} does not take --${idle}. ${SEE}`, EXIT.usage)
    const tenant = tenantName.safeParse(values.tenant)
    if (!tenant.success) return fail(`--tenant: ${tenant.error.issues[0]?.message}`, EXIT.usage)
    const settled = await settle(optionsOf(values))
    // A mistyped option is reported before the database is opened.
    overlapOf(values)
    const missing = missingFile(settled)
    if (name !== 'create') mustBeThere(settled)
    const clock = systemClock()
    return await withDatabase(settled, async database => {
      const { management, written } = composeKeysCommand(database, { ...settled, clock })
      await command.run(management, id, values)
      await written()
      if (missing !== null) say(`${missing} is new: no gateway has kept anything there yet.`)
      return EXIT.ok
    })
  } catch (thrown) {
    return failDatabase(thrown)
  }
}

function parse(args: readonly string[]) {
  return readArguments({ args: [...args], allowPositionals: true, tokens: true, options: OPTIONS })
}

/** Reads the flags as the body of `POST /management/keys`.
 *
 * @throws TypeError for a flag whose value is not valid. */
function wishedKey(values: Values) {
  const [usd, per] = values.budget?.split(/\/(.*)/) ?? []
  const parsed = keyCreation.safeParse({
    name: values.name,
    role: values.role,
    models: values.models?.split(',').map(name => name.trim()),
    expires_at: values.expires === undefined ? undefined : toInstant(values.expires),
    budget: usd === undefined ? undefined : { usd: toNumber(usd), per },
    cache: !values['no-cache'],
    signing: values.signing,
    limits: {
      requests_per_minute: toNumber(values['requests-per-minute']),
      tokens_per_minute: toNumber(values['tokens-per-minute']),
      concurrent_requests: toNumber(values['concurrent-requests']),
    },
  })
  if (parsed.success) return parsed.data
  const path = parsed.error.issues[0]?.path ?? []
  const field = String(path[0] === 'limits' ? path[1] : path[0])
  const { flag, expected } = SPELLED[field] ?? {
    flag: field.replaceAll('_', '-'),
    expected: 'a whole number; 0 is no limit',
  }
  throw new TypeError(`--${flag}: expected ${expected}`)
}

/** The flags of a key's fields, and the values that they take; fields that are not listed take a number, under their
 * own name. */
const SPELLED: Readonly<Record<string, { readonly flag: string; readonly expected: string }>> = {
  name: { flag: 'name', expected: NAME_EXPECTED },
  role: { flag: 'role', expected: 'caller, viewer, operator or admin' },
  models: { flag: 'models', expected: 'names of models, with commas between them' },
  expires_at: { flag: 'expires', expected: 'a day such as 2037-01-01, or a moment such as 2037-01-01T12:00:00Z' },
  budget: { flag: 'budget', expected: 'US dollars and a period, such as 50/month or 5/day' },
}

/** Reads a number. An empty text, such as that of an unset variable of the shell, is none: read as 0 it would mean no
 * limit at all. */
function toNumber(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
}

/** A day begins at midnight UTC, as in the configuration. */
function toInstant(text: string): string {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text
}

function overlapOf({ overlap }: Values): number {
  const ms = parseDuration(overlap)
  if (ms !== null && ms <= OVERLAP_SECONDS_MAX * 1000) return ms
  throw new TypeError('--overlap: expected a duration such as 1h or 1d, 30d at most')
}

async function listAll(keys: KeyManagement, _: string, values: Values): Promise<void> {
  const all: KeyView[] = []
  let after: string | null = null
  do {
    const page = await keys.list(values.tenant, { after, limit: PAGE })
    all.push(...page.data)
    after = page.next
  } while (after !== null)
  if (values.json) print(JSON.stringify(all, null, 2))
  else if (all.length > 0) print(all.map(line).join('\n'))
  else say(`no key was made for the tenant ${values.tenant}; keys of the configuration are not listed`)
}

/** Prints a key; its secret alone on standard output, so that it can go into a variable. */
function show({ json }: Values): (key: KeyView | KeyWithSecret) => void {
  return key => {
    if (json) return print(JSON.stringify(key, null, 2))
    if (!('key' in key)) return print(line(key))
    say(`${line(key)}\nThe key is shown only now:`)
    print(key.key)
    if (key.signing_secret !== null) say(`and what its requests must be signed with: ${key.signing_secret}`)
  }
}

function line({ id, prefix, status, role, expires_at, name }: KeyView): string {
  const until = expires_at === null ? 'never expires' : `until ${expires_at.slice(0, 16)}Z`
  return [id, `${prefix}…`, status.padEnd(7), role.padEnd(8), until.padEnd(23), name].join('  ')
}
