import { afterEach, expect, test } from 'bun:test'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Watcher, watchFiles } from '#config/watch.ts'

const open: { close(): void }[] = []
afterEach(() => {
  for (const each of open.splice(0).toReversed()) each.close()
})

/** A folder of files, and who watches it; each `look` is the next turn of the watch. */
function watching(files: (folder: string) => readonly string[], prepare: (folder: string) => void = () => {}) {
  const folder = mkdtempSync(join(tmpdir(), 'citadel-watch-'))
  open.push({ close: () => rmSync(folder, { recursive: true }) })
  prepare(folder)
  let next: (() => void) | null = null
  let scheduled = Promise.withResolvers<void>()
  let changes = 0
  const watcher: Watcher = watchFiles(
    () => files(folder),
    () => changes++,
    {
      schedule(callback) {
        next = callback
        scheduled.resolve()
        return () => {
          next = null
        }
      },
    },
  )
  open.push(watcher)
  return {
    folder,
    watcher,
    changes: () => changes,
    waits: () => next !== null,
    /** The watch has looked so many times more. */
    async look(times = 1) {
      await scheduled.promise
      for (let time = 0; time < times; time++) {
        scheduled = Promise.withResolvers()
        next?.()
        await scheduled.promise
      }
    },
  }
}

const gatewayFile = (folder: string) => [join(folder, 'gateway.yaml')]
const write = (folder: string, text: string, name = 'gateway.yaml') => writeFileSync(join(folder, name), text)

/** Writes a link anew, in one step. */
function link(folder: string, name: string, target: string): void {
  symlinkSync(target, join(folder, `${name}.new`))
  renameSync(join(folder, `${name}.new`), join(folder, name))
}

test('tells of nothing while nothing changes', async () => {
  const { look, changes } = watching(gatewayFile, folder => write(folder, '# 1'))

  await look(5)

  expect(changes()).toBe(0)
})

test('tells once of a burst of changes, when it is over', async () => {
  const { folder, look, changes } = watching(gatewayFile, path => write(path, '# 1'))
  await look()

  const told: number[] = []
  for (const text of ['# 1 2', '# 1 2 3', '# 1 2 3 4']) {
    write(folder, text)
    await look()
    told.push(changes())
  }
  await look(3)

  expect([told, changes()]).toEqual([[0, 0, 0], 1])
})

const replacements: readonly (readonly [
  how: string,
  prepare: (folder: string) => void,
  change: (f: string) => void,
])[] = [
  ['in place', f => write(f, '# 1'), f => write(f, '# 2 ')],
  [
    'with the same length and time',
    f => {
      write(f, '# 1')
      utimesSync(join(f, 'gateway.yaml'), 1, 1)
    },
    f => {
      write(f, '# 2')
      utimesSync(join(f, 'gateway.yaml'), 1, 1)
    },
  ],
  [
    'by a new one',
    f => write(f, '# 1'),
    f => {
      write(f, '# 2', 'next')
      renameSync(join(f, 'next'), join(f, 'gateway.yaml'))
    },
  ],
  [
    'behind a link',
    f => {
      mkdirSync(join(f, 'far'))
      write(join(f, 'far'), '# 1')
      link(f, 'gateway.yaml', 'far/gateway.yaml')
    },
    f => write(join(f, 'far'), '# 2 '),
  ],
  [
    'by a link that leads elsewhere',
    f => {
      for (const name of ['..1', '..2']) {
        mkdirSync(join(f, name))
        write(join(f, name), '# 1')
      }
      link(f, '..data', '..1')
      link(f, 'gateway.yaml', '..data/gateway.yaml')
    },
    f => link(f, '..data', '..2'),
  ],
  ['by its end', f => write(f, '# 1'), f => rmSync(join(f, 'gateway.yaml'))],
  ['by its beginning', () => {}, f => write(f, '# 1')],
]

test.each(replacements)('sees a file that is changed %s', async (_, prepare, change) => {
  const { folder, look, changes } = watching(gatewayFile, prepare)
  await look()

  change(folder)
  await look(3)

  expect(changes()).toBe(1)
})

test('sees a file in a directory that is made anew', async () => {
  const { folder, look, changes } = watching(
    path => [join(path, 'etc', 'gateway.yaml')],
    path => {
      mkdirSync(join(path, 'etc'))
      write(join(path, 'etc'), '# 1')
    },
  )
  await look()

  rmSync(join(folder, 'etc'), { recursive: true })
  await look(2)
  const gone = changes()
  mkdirSync(join(folder, 'etc'))
  write(join(folder, 'etc'), '# 2')
  await look(2)

  expect([gone, changes()]).toEqual([1, 2])
})

test('watches what is named later too, and tells of it once, since it may have changed before', async () => {
  let names = ['gateway.yaml']
  const { folder, look, changes } = watching(
    path => names.map(name => join(path, name)),
    path => write(path, '# 1'),
  )
  write(folder, 'one', 'key')
  await look()

  names = ['gateway.yaml', 'key']
  await look(5)
  const named = changes()
  write(folder, 'another', 'key')
  await look(5)
  const written = changes()
  names = ['gateway.yaml']
  await look(5)

  expect([named, written, changes()]).toEqual([1, 2, 2])
})

test('tells of nothing after it was closed', async () => {
  const { folder, look, changes, watcher, waits } = watching(gatewayFile, path => write(path, '# 1'))
  await look()
  write(folder, '# 1 2')
  await look()

  watcher.close()

  expect([waits(), changes()]).toEqual([false, 0])
})

test('does not keep a process from ending', () => {
  const script = `import { watchFiles } from '#config/watch.ts'; watchFiles(() => ['/etc/hostname'], () => {})`
  const { status, signal } = spawnSync(process.execPath, ['--eval', script], {
    cwd: join(import.meta.dir, '../..'),
    timeout: 20_000,
  })

  expect([status, signal]).toEqual([0, null])
})
