/** One thing that is wrong. `line` is 0 where there are no lines: in the environment and in flags. */
export interface Problem {
  readonly file: string
  readonly line: number
  readonly column: number
  readonly path: string
  readonly message: string
}

/** Carries everything that is wrong with a configuration, so that it can be corrected in one go: one problem a line, in
 * the form that editors and terminals turn into links. */
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
