import { describe, expect, test } from 'bun:test'
import type { Rows } from '#stores/sql.ts'
import { type Bound, createTemplate } from '#stores/sql-template.ts'

/** A template that writes down what it runs, and answers with `given`. */
function recorded(given: readonly unknown[] = []) {
  const ran: { readonly text: string; readonly bound: readonly Bound[] }[] = []
  const rows = (): Rows<unknown> => Object.assign([...given], { count: given.length })
  const sql = createTemplate({
    one(text, bound) {
      ran.push({ text: text.replace(/\s+/g, ' ').trim(), bound })
      return rows()
    },
    all: text => void ran.push({ text, bound: [] }),
  })
  return { sql, ran }
}

describe('a template', () => {
  test('binds every value instead of writing it into the text', async () => {
    const { sql, ran } = recorded()

    await sql`SELECT ${1}, ${'"; DROP TABLE keys; --'}, ${null}, ${undefined}, ${9007199254740993n}`

    expect(ran).toEqual([
      { text: 'SELECT ?, ?, ?, ?, ?', bound: [1, '"; DROP TABLE keys; --', null, null, 9007199254740993n] },
    ])
  })

  test('returns the rows of the statement', async () => {
    const { sql } = recorded([{ id: 'a' }, { id: 'b' }])

    const rows: { id: string }[] = await sql`SELECT id FROM keys`

    expect(rows.map(({ id }) => id)).toEqual(['a', 'b'])
  })

  test('inside another template is a part of it and is not run', async () => {
    const { sql, ran } = recorded()

    await sql`SELECT * FROM ${sql.unsafe('keys')} WHERE a = ${1} ${sql`AND b = ${2} ${sql`AND c = ${3}`}`} ${sql``}
      AND d = ${4}`
    await Bun.sleep(0)

    expect(ran).toEqual([{ text: 'SELECT * FROM keys WHERE a = ? AND b = ? AND c = ? AND d = ?', bound: [1, 2, 3, 4] }])
  })

  test('accepts lists and rows', async () => {
    const { sql, ran } = recorded()
    const rows = [
      { id: 'a', n: 1, left: 'out' },
      { id: 'b', n: null, left: 'out' },
    ]

    await sql`DELETE FROM holds WHERE id IN ${sql(['x', 'y'])} AND n = ${1}`
    await sql`DELETE FROM holds WHERE id IN ${sql([])}`
    await sql`INSERT INTO t ${sql(rows, 'id', 'n')} ON CONFLICT DO NOTHING`
    await sql`INSERT INTO t ${sql(rows)}`

    expect(ran).toEqual([
      { text: 'DELETE FROM holds WHERE id IN (?, ?) AND n = ?', bound: ['x', 'y', 1] },
      { text: 'DELETE FROM holds WHERE id IN ()', bound: [] },
      { text: 'INSERT INTO t ("id", "n") VALUES (?, ?), (?, ?) ON CONFLICT DO NOTHING', bound: ['a', 1, 'b', null] },
      {
        text: 'INSERT INTO t ("id", "n", "left") VALUES (?, ?, ?), (?, ?, ?)',
        bound: ['a', 1, 'out', 'b', null, 'out'],
      },
    ])
  })

  test('runs statements in the order in which they were written', async () => {
    const { sql, ran } = recorded()

    await Promise.all([sql`SELECT ${1}`, sql.unsafe('SELECT 2; SELECT 3'), sql`SELECT ${4}`])

    expect(ran.map(({ text, bound }) => [text, ...bound])).toEqual([
      ['SELECT ?', 1],
      ['SELECT 2; SELECT 3'],
      ['SELECT ?', 4],
    ])
  })

  test.each([[true], [{}], [[1]], [() => 1]])('refuses %p, which is not a value of a column', async value => {
    const { sql, ran } = recorded()

    await expect(sql`SELECT ${value}`).rejects.toThrow(TypeError)
    expect(ran).toEqual([])
  })
})
