import { afterAll, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openMetricFiles } from '#stores/metric-files.ts'

const folders: string[] = []
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true })
})

function crew(...names: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'citadel-metrics-'))
  folders.push(folder)
  return { folder, files: names.map(name => openMetricFiles(folder, name)) }
}

const sum = (before: unknown, ended: unknown) => Number(before) + Number(ended)
const total = (values: readonly unknown[]) => values.map(Number).reduce((all, each) => all + each, 0)

test('every worker reads the latest metrics of all workers', () => {
  const { files } = crew('a', 'b')
  const [a, b] = files
  a?.write(1)
  a?.write(2)
  b?.write(40)

  expect(total(a?.readAll() ?? [])).toBe(42)
  expect(total(b?.readAll() ?? [])).toBe(42)
})

test('the counters of a worker that has ended are kept, once', () => {
  const { files } = crew('a', 'b', 'supervisor')
  const [a, b, supervisor] = files
  a?.write(5)
  b?.write(7)
  const seen = [total(b?.readAll() ?? [])]
  supervisor?.fold('a', sum)
  seen.push(total(b?.readAll() ?? []))
  b?.write(8)
  supervisor?.fold('b', sum)
  seen.push(total(supervisor?.readAll() ?? []))
  supervisor?.fold('b', sum)
  supervisor?.fold('never written', sum)
  seen.push(total(supervisor?.readAll() ?? []))

  expect(seen).toEqual([12, 12, 13, 13])
})

test('a file that is being merged is counted once, whenever it is read', async () => {
  const { folder, files } = crew('a', 'supervisor')
  const [a, supervisor] = files
  a?.write(5)
  const late = await import('node:fs/promises')
  const text = await late.readFile(join(folder, 'a.metrics'))
  supervisor?.fold('a', sum)
  // As it is for a moment: the sum is there, and the file is not gone yet.
  await late.writeFile(join(folder, 'a.metrics'), text)

  expect(total(supervisor?.readAll() ?? [])).toBe(5)
})

test('a worker that cannot write goes on, and writes the next time', () => {
  const { folder, files } = crew('a')
  const [a] = files
  rmSync(folder, { recursive: true })
  a?.write(1)
  mkdirSync(folder)
  a?.write(2)

  expect(a?.readAll()).toEqual([2])
})

test('a file that cannot be merged now is still counted', () => {
  const { folder, files } = crew('a', 'b', 'supervisor')
  const [a, b, supervisor] = files
  a?.write(5)
  b?.write(7)
  mkdirSync(join(folder, `base.${process.pid}.writing`))

  supervisor?.fold('a', sum)

  expect(total(b?.readAll() ?? [])).toBe(12)
})
