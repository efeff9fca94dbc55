import { ConfigError, type Problem } from './problems.ts'
import { LOST } from './tree.ts'

/** Reads the lines `NAME=value` of an environment file, with comments, quotes and `export`.
 *
 * Double quotes understand `\n` and what a shell does, `\"`, `\\`, `\$` and a backtick; nothing is expanded, as in
 * systemd and Docker.
 * @param file How problems call the file.
 * @throws ConfigError when a line is none of these; it names the line and never shows it. */
export function parseEnvFile(text: string, file = 'environment file'): Record<string, string> {
  const values: Record<string, string> = {}
  const problems: Problem[] = []
  for (const [index, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    if (/^\s*(#|$)/.test(line)) continue
    const match = /^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=([\s\S]*)$/.exec(line)
    const value = match ? unquote(match[2] ?? '') : null
    const complain = (message: string) => problems.push({ file, line: index + 1, column: 1, path: '', message })
    if (match?.[1] === undefined) complain('expected NAME=value')
    else if (value === null) complain('a quote is not closed, or something stands behind it')
    else if (value.includes(LOST)) complain('is not in UTF-8')
    else values[match[1]] = value
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return values
}

function unquote(text: string): string | null {
  const written = text.trim()
  const single = /^'([^']*)'\s*(#.*)?$/.exec(written)
  if (single) return single[1] ?? ''
  const double = /^"((?:[^"\\]|\\.)*)"\s*(#.*)?$/.exec(written)
  if (double) return (double[1] ?? '').replaceAll(/\\([n"\\$`])/g, (_, next: string) => (next === 'n' ? '\n' : next))
  if (/^['"]/.test(written)) return null
  return text.replace(/\s#.*$/, '').trim()
}
