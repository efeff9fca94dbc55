import type { Rows, Sql } from './sql.ts'

/** A value that can be bound to a `?` of a statement. */
export type Bound = string | number | bigint | null

/** Runs statements in a database. */
export interface Runner {
  /** Runs one statement that has a `?` for each value. */
  one(text: string, bound: Bound[]): Rows<unknown>
  /** Runs a text of several statements, without values. */
  all(text: string): void
}

/** What a template can contain besides values: another template, raw text, a list of values, or rows to insert. */
type Part = Template | { readonly text: string } | { readonly list: readonly Bound[] } | Inserted

interface Template {
  readonly strings: readonly string[]
  readonly values: readonly unknown[]
}

interface Inserted {
  readonly rows: readonly Readonly<Record<string, unknown>>[]
  readonly columns: readonly string[]
}

/** Creates the `sql` tag for a database that runs its statements in this process and synchronously.
 *
 * A template can be a statement, or a part of another template; which of the two is known only after the whole
 * expression was evaluated. So statements run in a microtask, in the order in which they were written. */
export function createTemplate(runner: Runner): Sql {
  const parts = new WeakMap<object, Part>()
  const used = new WeakSet<object>()

  function statement(strings: readonly string[], values: readonly unknown[]): Promise<unknown> {
    for (const value of values) if (isObject(value)) used.add(value)
    const template: Template = { strings, values }
    const running: Promise<unknown> = Promise.resolve().then(() => {
      if (used.has(running)) return []
      const bound: Bound[] = []
      return runner.one(write(template, parts, bound), bound)
    })
    parts.set(running, template)
    return running
  }

  function part(made: Part): object {
    const handle = {}
    parts.set(handle, made)
    return handle
  }

  function sql(first: TemplateStringsArray | readonly unknown[], ...rest: readonly unknown[]): object {
    if (isTemplate(first)) return statement(first, rest)
    const rows = first.filter(isRecord)
    if (rows.length === 0) return part({ list: first.map(toBound) })
    return part({ rows, columns: rest.length > 0 ? rest.map(String) : Object.keys(rows[0] ?? {}) })
  }

  function unsafe(text: string): Promise<unknown> {
    const running: Promise<unknown> = Promise.resolve().then(() => {
      if (!used.has(running)) runner.all(text)
    })
    parts.set(running, { text })
    return running
  }

  return Object.assign(sql as Sql, { unsafe })
}

/** Writes a template as text with a `?` for each value, and adds the values to `bound` in the same order. */
function write({ strings, values }: Template, parts: WeakMap<object, Part>, bound: Bound[]): string {
  let text = strings[0] ?? ''
  values.forEach((value, index) => {
    const part = isObject(value) ? parts.get(value) : undefined
    text += part === undefined ? place(value, bound) : writePart(part, parts, bound)
    text += strings[index + 1] ?? ''
  })
  return text
}

function writePart(part: Part, parts: WeakMap<object, Part>, bound: Bound[]): string {
  if ('strings' in part) return write(part, parts, bound)
  if ('text' in part) return part.text
  if ('list' in part) return `(${part.list.map(item => place(item, bound)).join(', ')})`
  const { rows, columns } = part
  for (const row of rows) for (const column of columns) bound.push(toBound(row[column]))
  const places = `(${columns.map(() => '?').join(', ')})`
  return `(${columns.map(name => `"${name}"`).join(', ')}) VALUES ${Array(rows.length).fill(places).join(', ')}`
}

function place(value: unknown, bound: Bound[]): string {
  bound.push(toBound(value))
  return '?'
}

/** @throws TypeError for a value that no column can store, rather than to store something else. */
function toBound(value: unknown): Bound {
  if (value === null || value === undefined) return null
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'bigint') return value
  throw new TypeError(`a statement takes no ${typeof value}`)
}

function isTemplate(value: TemplateStringsArray | readonly unknown[]): value is TemplateStringsArray {
  return 'raw' in value
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return isObject(value) && !Array.isArray(value)
}
