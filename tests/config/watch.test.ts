import { afterEach, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { type Watcher, watchFiles } from '#config/watch.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0)) each.close()
})

function fakes() {
  const directories = new Map<string, (name: string | null) => void>()
  let pending: (() => void) | null = null
  return {
    directories,
    closed: [] as string[],
    elapse() {
      const callback = pending
      pending = null
      callback?.()
    },
    watchDirectory(path: string, onChange: (name: string | null) => void) {
      directories.set(path, onChange)
      return { close: () => void this.closed.push(path) }
    },
    schedule(callback: () => void) {
      pending = callback
      return () => {
        pending = null
      }
    },
    touch(path: string, name: string | null) {
      directories.get(resolve(path))?.(name)
    },
  }
}

function watching(files: string[]) {
  const fake = fakes()
  let changes = 0
  const dependencies = { watchDirectory: fake.watchDirectory.bind(fake), schedule: fake.schedule.bind(fake) }
  const watcher: Watcher = watchFiles(files, () => changes++, dependencies)
  return { fake, watcher, changes: () => changes }
}

test('watches each directory once', () => {
  const { fake } = watching(['/etc/a.yaml', '/etc/b.yaml', '/run/secret'])

  expect([...fake.directories.keys()]).toEqual(['/etc', '/run'])
})

test('tells once of a burst of changes, after a quiet moment', () => {
  const { fake, changes } = watching(['/etc/a.yaml', '/etc/b.yaml'])

  for (const name of ['a.yaml', 'b.yaml', 'a.yaml']) fake.touch('/etc', name)
  const before = changes()
  fake.elapse()

  expect([before, changes()]).toEqual([0, 1])
})

test('is not disturbed by other files', () => {
  const { fake, changes } = watching(['/etc/a.yaml'])

  fake.touch('/etc', '.a.yaml.swp')
  fake.elapse()

  expect(changes()).toBe(0)
})

test.each(['..data', null])('takes %j as a change of any file', name => {
  const { fake, changes } = watching(['/etc/a.yaml'])

  fake.touch('/etc', name)
  fake.elapse()

  expect(changes()).toBe(1)
})

test('tells of nothing after it was closed', () => {
  const { fake, watcher, changes } = watching(['/etc/a.yaml'])

  fake.touch('/etc', 'a.yaml')
  watcher.close()
  fake.elapse()

  expect(changes()).toBe(0)
  expect(fake.closed).toEqual(['/etc'])
})

test('sees a file that an editor replaces, again and again', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'citadel-watch-'))
  open.push({ close: () => rmSync(directory, { recursive: true }) })
  const file = join(directory, 'gateway.yaml')
  writeFileSync(file, '')
  let changed = Promise.withResolvers<string>()
  open.push(watchFiles([file], () => changed.resolve(readFileSync(file, 'utf8')), { quietMs: 1 }))

  for (const text of ['# 1', '# 2']) {
    changed = Promise.withResolvers()
    writeFileSync(`${file}.new`, text)
    renameSync(`${file}.new`, file)

    expect(await changed.promise).toBe(text)
  }
})

test('goes on without a directory that does not exist', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'citadel-watch-'))
  open.push({ close: () => rmSync(directory, { recursive: true }) })
  const file = join(directory, 'gateway.yaml')
  const changed = Promise.withResolvers<string>()
  const files = ['/no/such/place/gateway.yaml', file]
  const watcher = watchFiles(files, () => changed.resolve(readFileSync(file, 'utf8')), { quietMs: 1 })

  writeFileSync(`${file}.new`, '# 1')
  renameSync(`${file}.new`, file)

  expect(await changed.promise).toBe('# 1')
  watcher.close()
})
