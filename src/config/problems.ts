/** One error in the configuration. `line` is 0 for environment variables and flags, which have no lines. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly message: string
}

/** All errors of a configuration at once. The message has one problem a line, in the form `file:line:column`, which editors
 * and terminals turn into links. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly problems: readonly Problem[]

  constructor(problems: readonly Problem[]) {
    super(problems.map(formatProblem).join('\n'))
    this.problems = problems
  }
}

/** Writes `file:line:column  path: message`. */
export function formatProblem({ file, line, column, path, message }: Problem): string {
  const where = line > 0 ? `${file}:${line}:${column}` : file
  return path === '' ? `${where}  ${message}` : `${where}  ${path}: ${message}`
}
