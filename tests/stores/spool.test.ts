import { describe, expect, test } from 'bun:test'
import { readdirSync, utimesSync } from 'node:fs'
import { appendFile, rename } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { createFileSpool, type FileSpoolOptions } from '#stores/file-spool.ts'
import { createMemorySpool } from '#stores/memory-spool.ts'
import { adoptSpools, spoolName, touchSpool } from '#stores/spool-adoption.ts'
import { spoolContract } from '#tests/contract/spool.ts'
import { ownFolder } from '#tests/support/server-process.ts'

/** A process number that no process has. */
const NOBODY = 2 ** 30

async function inFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await ownFolder('citadel-spool-')
  try {
    await run(folder.path)
  } finally {
    await folder.remove()
  }
}

function spoolIn(folder: string, more: Partial<FileSpoolOptions> = {}) {
  return createFileSpool({
    folder,
    name: 'here.1.a',
    bytesMax: 1e6,
    fileBytesMax: 1e5,
    carry: () => [],
    onLost() {},
    ...more,
  })
}

spoolContract('a spool in memory', run => run(createMemorySpool(10)))
spoolContract('a spool in files', run =>
  inFolder(async folder => {
    const spool = spoolIn(folder, { bytesMax: 10_000 })
    await run(spool)
    await spool.close()
  }),
)

describe('a spool in files', () => {
  test('begins another file when one is large, carries over what is open, and removes what was read', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder, { fileBytesMax: 100, carry: () => ['open'] })
      for (let line = 0; line < 20; line++) {
        spool.append(`line ${line} ${'x'.repeat(40)}`)
        await Promise.resolve()
      }
      const most = readdirSync(folder).length
      const read: string[] = []
      for (let lines = await spool.peek(3); lines.length > 0; lines = await spool.peek(3)) {
        read.push(...lines)
        await spool.drop(lines.length)
      }

      expect(read.filter(line => line !== 'open').map(line => line.split(' ')[1])).toEqual(
        Array.from({ length: 20 }, (_, line) => `${line}`),
      )
      expect(read.filter(line => line === 'open')).toHaveLength(most)
      expect(most).toBeGreaterThan(3)
      expect(readdirSync(folder)).toHaveLength(1)
      await spool.close()
    }))

  test('reads a line that is longer than one reading', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder, { bytesMax: 1e7, fileBytesMax: 1e7 })
      const long = 'ä'.repeat(600_000)
      spool.append(long)
      spool.append('short')

      expect(await spool.peek(10)).toEqual([long, 'short'])
      await spool.close()
    }))

  test('tells what the disk did not take, and goes on', () =>
    inFolder(async folder => {
      const lost: string[] = []
      const spool = spoolIn(folder, { fileBytesMax: 1, onLost: lines => lost.push(...lines) })
      spool.append('one')
      await Promise.resolve()
      await rename(folder, `${folder}-away`)
      spool.append('two')
      await Promise.resolve()
      await rename(`${folder}-away`, folder)
      spool.append('three')
      const read: string[] = []
      for (let lines = await spool.peek(9); lines.length > 0; lines = await spool.peek(9)) {
        read.push(...lines)
        await spool.drop(lines.length)
      }

      expect([lost, read]).toEqual([['two'], ['one', 'three']])
      await spool.close()
    }))

  test('leaves nothing behind when all was read, and everything when it was not', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder)
      spool.append('one')
      await spool.drop((await spool.peek(9)).length)
      await spool.close()
      const empty = readdirSync(folder)
      const other = spoolIn(folder, { name: 'here.2.b' })
      other.append('two')
      await other.close()

      expect([empty, readdirSync(folder)]).toEqual([[], ['here.2.b.1.spool']])
    }))
})

describe('what a dead process has left', () => {
  const host = spoolName('').split('.')[0] ?? hostname()
  const now = Date.now()

  async function adopted(folder: string, name = spoolName('mine')): Promise<string[]> {
    const taken: string[] = []
    const end = () => void taken.push('end')
    await adoptSpools({ folder, name, now }, { line: line => void taken.push(line), end })
    return taken
  }

  test('is taken over in its order, once', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.old.2.spool`), 'three\n')
      await appendFile(join(folder, `${host}.${NOBODY}.old.1.spool`), 'one\ntwo\n')
      await appendFile(join(folder, `${host}.${NOBODY}.older.1.spool`), 'other\n')

      expect(await adopted(folder)).toEqual(['one', 'two', 'three', 'end', 'other', 'end'])
      expect(await adopted(folder)).toEqual([])
      expect(readdirSync(folder)).toEqual([])
    }))

  test('is taken over also from an earlier start with the same number', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${spoolName('earlier')}.1.spool`), 'one\n')

      expect(await adopted(folder)).toEqual(['one', 'end'])
    }))

  test('is not taken from a process that lives, here or elsewhere', () =>
    inFolder(async folder => {
      const names = [
        `${host}.${process.ppid}.a.1.spool`,
        `elsewhere.${NOBODY}.b.1.spool`,
        `${spoolName('mine')}.1.spool`,
      ]
      for (const name of names) await appendFile(join(folder, name), 'mine\n')

      expect(await adopted(folder)).toEqual([])
      expect(readdirSync(folder)).toHaveLength(3)
    }))

  test('is taken over from elsewhere once nobody has touched it for long', () =>
    inFolder(async folder => {
      const file = join(folder, `elsewhere.${NOBODY}.b.1.spool`)
      await appendFile(file, 'one\n')
      const old = new Date(now - 600_000)
      utimesSync(file, old, old)
      await touchSpool(folder, `elsewhere.${NOBODY}.b`, now)
      const touched = await adopted(folder)
      utimesSync(file, old, old)

      expect([touched, await adopted(folder)]).toEqual([[], ['one', 'end']])
    }))
})
