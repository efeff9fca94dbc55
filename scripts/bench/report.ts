import type { Row } from './run.ts'
import type { SubjectName } from './subjects.ts'

/** Writes a Markdown table; all columns but the first are numbers. */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const rule = headings.map((_, index) => (index === 0 ? '---' : '--:'))
  return `${[line(headings), line(rule), ...rows.map(line)].join('\n')}\n`
}

/** Writes a measured value with three digits or so; a dash for what was not measured. */
export function figure(value: number | undefined): string {
  if (value === undefined || !Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 100) return Math.round(value).toLocaleString('en-GB')
  return value.toFixed(size >= 10 ? 1 : 2)
}

/** Writes how many times one subject's value is another's. */
export function ratio(row: Row, name: SubjectName, base: SubjectName): string {
  const value = (row.get(name) ?? Number.NaN) / (row.get(base) ?? Number.NaN)
  return Number.isFinite(value) ? `**${value.toFixed(2)}**` : '–'
}

/** Writes bytes as megabytes. */
export function megabytes(bytes: number): string {
  return figure(bytes / 1_000_000)
}
