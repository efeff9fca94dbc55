/** What a spreadsheet takes for the beginning of a formula, at the beginning of a text, or where one that parts fields at
 * semicolons or tabs, and has met no quote that it knows, begins another field or line. */
const FORMULA = /(?<=^|[;\t\r\n])[=+\-@\t\r＝＋－＠]/g

/** Writes a table as CSV (RFC 4180). What a spreadsheet would take for a formula gets an apostrophe before it. */
export function writeCsv(columns: readonly string[], rows: readonly Readonly<Record<string, unknown>>[]): string {
  const lines = [columns, ...rows.map(row => columns.map(column => row[column]))]
  return lines.map(values => `${values.map(cell).join(',')}\r\n`).join('')
}

function cell(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'number') return String(value)
  const safe = String(value).replace(FORMULA, "'$&")
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
