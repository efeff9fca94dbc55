import { existsSync } from 'node:fs'
import { readFile as readFileFromDisk } from 'node:fs/promises'
import { othersTurn } from '#lib/turn.ts'
import { checkReferences } from './check.ts'
import { type Environment, readEnvironment } from './env.ts'
import { parseEnvFile } from './env-file.ts'
import { expiredWarnings } from './expired.ts'
import { toProblems, wordIssue } from './explain.ts'
import { unreadableFiles } from './named-files.ts'
import { type Origins, originsOf } from './origins.ts'
import { parseFile } from './parse.ts'
import { pendingWarnings } from './pending.ts'
import { withPerformance } from './performance.ts'
import { ConfigError, formatProblem, type Problem } from './problems.ts'
import { type Config, type ConfigInput, configSchema } from './schema.ts'
import { type ReadFile, readFailure, readSecrets, resolvePaths, withoutReplaced } from './secrets.ts'
import { emptyMap, leafOf, type MapTree, merge, place, toPlain, treeOf } from './tree.ts'

interface Flags {
  readonly host?: string | undefined
  readonly port?: string | number | undefined
}

export interface LoadOptions {
  /** Later files win over earlier ones. */
  readonly files: readonly string[]
  readonly env: Environment
  readonly flags?: Flags
  readonly readFile?: ReadFile
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export interface Loaded {
  readonly config: Config
  /** Where each value was written. */
  readonly origins: Origins
  /** Warnings of one line each, without secrets. */
  readonly warnings: readonly string[]
  /** What the warnings say of files that connections need and that cannot be read. */
  readonly unreadable: readonly Problem[]
  /** All files that were read, including those with secrets: a change of any of them causes a reload. */
  readonly files: readonly string[]
}

/** Reads the configuration from files, then the environment, then flags; each wins over what came before.
 *
 * @throws ConfigError with everything that is wrong, at once. */
export async function loadConfig(options: LoadOptions): Promise<Loaded> {
  const { files, env, flags = {}, readFile = readText, now = Date.now } = options
  const written = await readFiles(files, env, readFile)
  const environment = readEnvironment(env, written.tree)
  const fromFlags = treeOfFlags(flags)
  const explicit = layers(written.tree, environment.tree, fromFlags)
  const effective = layers(withPerformance(written.tree), withPerformance(environment.tree, written.tree), fromFlags)
  const { tree, problems, files: secretFiles } = await readSecrets(resolvePaths(effective), readFile)
  // Each step of a large configuration takes long, and the gateway may be serving.
  await othersTurn()
  const config = validate(tree, [...written.problems, ...problems])
  await othersTurn()
  const unreadable = await unreadableFiles(tree)
  return {
    config,
    origins: originsOf(tree),
    warnings: [
      ...environment.warnings,
      ...pendingWarnings(explicit),
      ...expiredWarnings(config, tree, now()),
      ...unreadable.map(formatProblem),
    ],
    unreadable,
    files: [...files, ...secretFiles],
  }
}

/** Completes a configuration that is written in code.
 *
 * @throws ConfigError with everything that is wrong, at once. */
export function configFrom(input: ConfigInput = {}): Config {
  const tree = treeOf(input)
  return validate(withPerformance(tree.kind === 'map' ? tree : emptyMap()), [])
}

/** Finds which files to load: those asked for, else `$CITADEL_CONFIG`, else `config/gateway.yaml` when it exists. */
export function configFiles(
  explicit: readonly string[],
  env: Environment,
  exists: (path: string) => boolean = existsSync,
): string[] {
  if (explicit.length > 0) return [...explicit]
  const named = env.CITADEL_CONFIG?.trim()
  if (named) return [named]
  return exists('config/gateway.yaml') ? ['config/gateway.yaml'] : []
}

/** Combines the process's environment with environment files. The process's own variables win; of files, the later.
 *
 * @throws ConfigError when a file cannot be read. */
export async function loadEnvironment(
  files: readonly string[],
  env: Environment,
  readFile: ReadFile = readText,
): Promise<Environment> {
  const texts = await Promise.all(files.map(file => readOrThrow(file, readFile)))
  const values = files.map((file, index) => parseEnvFile(texts[index] ?? '', file))
  return Object.assign({}, ...values, env)
}

/** Reads a file of text. */
export const readText: ReadFile = path => readFileFromDisk(path, 'utf8')

async function readFiles(files: readonly string[], env: Environment, readFile: ReadFile) {
  const problems: Problem[] = []
  let tree = emptyMap()
  for (const file of files) {
    const text = await readFile(file).catch((error: unknown) => {
      problems.push(fileProblem(file, readFailure(error)))
      return null
    })
    if (text === null) continue
    const parsed = await parseFile(text, file, env)
    problems.push(...parsed.problems)
    tree = layers(tree, parsed.tree)
  }
  return { tree, problems }
}

async function readOrThrow(file: string, readFile: ReadFile): Promise<string> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new ConfigError([fileProblem(file, readFailure(error))])
  }
}

function fileProblem(file: string, message: string): Problem {
  return { file, line: 0, column: 0, path: '', message }
}

function layers(...trees: MapTree[]): MapTree {
  return trees.reduce((under, over) => {
    const merged = merge(withoutReplaced(under, over), over)
    return merged.kind === 'map' ? merged : under
  })
}

function treeOfFlags(flags: Flags): MapTree {
  return Object.entries(flags).reduce((tree, [name, value]) => {
    if (value === undefined) return tree
    const origin = { file: 'flag', line: 0, column: 0, name: `--${name}` }
    return place(tree, ['service', name], leafOf(value, origin))
  }, emptyMap())
}

function validate(tree: MapTree, known: readonly Problem[]): Config {
  // Compiling the schema would take longer than the one parse that it serves.
  const result = configSchema.safeParse(toPlain(tree), { error: wordIssue, jitless: true })
  const issues = result.error?.issues ?? []
  // Behind a misspelt section stand the names that others refer to.
  const misspelt = issues.some(issue => issue.code === 'unrecognized_keys' && issue.path.length === 0)
  const problems = [...known, ...toProblems(issues, tree), ...(misspelt ? [] : checkReferences(tree))]
  if (problems.length > 0) throw new ConfigError(inOrder(problems))
  if (!result.data) throw new TypeError('a configuration without problems has no data')
  return deepFreeze(result.data)
}

// Files stay in the order in which they were given; the environment comes after them, and flags last.
function inOrder(problems: readonly Problem[]): Problem[] {
  const order = [...new Set(problems.map(problem => problem.file))].filter(
    file => file !== 'environment' && file !== 'flag',
  )
  order.push('environment', 'flag')
  const rank = (problem: Problem) => order.indexOf(problem.file)
  return problems.toSorted((a, b) => rank(a) - rank(b) || a.line - b.line || a.column - b.column)
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
