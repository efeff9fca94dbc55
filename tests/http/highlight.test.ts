import { expect, test } from 'bun:test'
import { highlight } from '#http/docs/highlight.ts'

/** What is marked as a number. */
function numbersOf(yaml: string): readonly (string | undefined)[] {
  return [...highlight(yaml, 'yaml').matchAll(/<span class="hl-n">([^<]*)<\/span>/g)].map(([, number]) => number)
}

test('numbers are marked, and no figures in names, addresses and versions', () => {
  expect(numbersOf('port: 8000\nsize: [1, 2.5]\nweight: { a: 3 }\ntotal: 30m')).toEqual([
    '8000',
    '1',
    '2.5',
    '3',
    '30m',
  ])
  expect(numbersOf('id: gpu-1\nurl: http://10.0.0.34:11434\nmodel: qwen3:8b\nname: gpt-5-mini')).toEqual([])
})
