import { describe, expect, test } from 'bun:test'
import { readdirSync, statSync, symlinkSync, utimesSync } from 'node:fs'
import { appendFile, mkdir, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Spool } from '#core/ledger.ts'
import { createFileSpool, type FileSpoolOptions } from '#stores/file-spool.ts'
import { createMemorySpool } from '#stores/memory-spool.ts'
import { adoptSpools, SILENT_MS, spoolName, touchSpool } from '#stores/spool-adoption.ts'
import { add, spoolContract } from '#tests/contract/spool.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'

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

function spoolIn(folder: string, more: Partial<FileSpoolOptions<string>> = {}) {
  return createFileSpool<string>({
    folder,
    name: 'here.1.a',
    bytesMax: 1e6,
    fileBytesMax: 1e5,
    rememberedMax: 1000,
    read: line => (line.startsWith('-') ? null : line),
    carry: () => [],
    onLost() {},
    ...more,
  })
}

async function readAll(spool: Spool<string>, atOnce = 3): Promise<string[]> {
  const read: string[] = []
  for (let some = await spool.peek(atOnce); some.length > 0; some = await spool.peek(atOnce)) {
    read.push(...some)
    await spool.drop(some.length)
  }
  return read
}

spoolContract('a spool in memory', run => run(createMemorySpool(10)))
describe.each([1000, 2, 0])('of which %d are remembered', rememberedMax => {
  spoolContract('a spool in files', run =>
    inFolder(async folder => {
      const spool = spoolIn(folder, { bytesMax: 10_000, rememberedMax })
      await run(spool)
      await spool.close()
    }),
  )
})

describe('a spool in files', () => {
  test.each([1000, 5, 0])(
    'begins another file when one is large, carries over what is open, and removes what was read (%d remembered)',
    rememberedMax =>
      inFolder(async folder => {
        const spool = spoolIn(folder, { fileBytesMax: 100, rememberedMax, carry: () => ['-open'] })
        for (let line = 0; line < 20; line++) {
          add(spool, `line ${line} ${'x'.repeat(40)}`)
          await settled(1)
        }
        const files = readdirSync(folder)
        const begins = await Promise.all(files.map(file => Bun.file(join(folder, file)).text()))
        const read = await readAll(spool)

        expect(read.map(line => line.split(' ')[1])).toEqual(Array.from({ length: 20 }, (_, line) => `${line}`))
        expect(files.length).toBeGreaterThan(3)
        for (const text of begins) expect(text).toStartWith('-open\n')
        expect(readdirSync(folder)).toHaveLength(1)
        await spool.close()
      }),
  )

  test('gives every line once and in order, however many are remembered and however they are read', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(12), fc.nat(4), fc.nat(6)), { maxLength: 30 }),
        fc.nat(20),
        fc.integer({ min: 1, max: 500 }),
        (turns, rememberedMax, fileBytesMax) =>
          inFolder(async folder => {
            const spool = spoolIn(folder, { rememberedMax, fileBytesMax })
            const read: string[] = []
            let made = 0
            for (const [added, heirs, taken] of turns) {
              for (let line = 0; line < added; line++) add(spool, `${made++}`)
              for (let line = 0; line < heirs; line++) spool.append('-', null)
              await settled(1)
              const some = await spool.peek(Math.max(1, taken))
              read.push(...some.slice(0, taken))
              await spool.drop(Math.min(taken, some.length))
            }
            read.push(...(await readAll(spool)))
            await spool.close()

            expect(read).toEqual(Array.from({ length: made }, (_, line) => `${line}`))
            expect(readdirSync(folder)).toEqual([])
          }),
      ),
      { numRuns: 50 },
    ))

  test('remembers no more lines than its limit, and reads the rest from its files', () =>
    inFolder(async folder => {
      const lines = Array.from({ length: 9 }, (_, line) => `line ${line}`)
      const readAgain: string[] = []
      const read = (line: string) => {
        readAgain.push(line)
        return line
      }
      const spool = spoolIn(folder, { rememberedMax: 2, read })
      for (const line of lines) {
        add(spool, line)
        await settled(1)
      }

      expect([await readAll(spool), readAgain]).toEqual([lines, lines.slice(2)])
      await spool.close()
    }))

  test('writes no more to disk than its limit, and more again when some was read', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder, { bytesMax: 2000, fileBytesMax: 500 })
      const fill = async () => {
        let taken = 0
        while (spool.append('x'.repeat(99), 'said') && taken < 100) {
          taken++
          await settled(1)
        }
        return taken
      }
      const first = await fill()
      const read = await readAll(spool)

      expect([first, read.length]).toEqual([20, 20])
      // What the last file has had stays in it until there is another one.
      expect(await fill()).toBe(15)
      await spool.close()
    }))

  test.each([1000, 0])('reads a line that is longer than one read (%d remembered)', rememberedMax =>
    inFolder(async folder => {
      const spool = spoolIn(folder, { bytesMax: 1e7, fileBytesMax: 1e7, rememberedMax })
      const long = 'ä'.repeat(600_000)
      add(spool, long, 'short')

      expect(await readAll(spool, 10)).toEqual([long, 'short'])
      await spool.close()
    }),
  )

  test.each([
    [1000, ['one', 'two', 'three'], true],
    [0, ['one', 'three'], false],
  ])(
    'tells what the disk did not take, keeps it where it is remembered, and goes on (%d remembered)',
    (rememberedMax, kept, isRemembered) =>
      inFolder(async folder => {
        const lost: unknown[] = []
        const spool = spoolIn(folder, {
          rememberedMax,
          fileBytesMax: 1,
          carry: () => ['-open'],
          onLost: (lines, isRemembered) => lost.push([...lines, isRemembered]),
        })
        add(spool, 'one')
        await settled(1)
        await rename(folder, `${folder}-away`)
        add(spool, 'two')
        await settled(1)
        await rename(`${folder}-away`, folder)
        add(spool, 'three')

        expect([await readAll(spool), lost]).toEqual([kept, [['two', isRemembered]]])
        await spool.close()
      }),
  )

  // Only a process of its own can have a bound on its files, of two blocks of 512 bytes.
  test('takes back what a full disk has taken a part of, so that the next line is whole', () =>
    inFolder(async folder => {
      const code = `
        import { createFileSpool } from '#stores/file-spool.ts'
        const lost = []
        const spool = createFileSpool({
          folder: process.argv.at(-1), name: 'here.1.a', bytesMax: 1e6, fileBytesMax: 1e5, rememberedMax: 0,
          read: line => line, carry: () => [], onLost: lines => lost.push(...lines.map(each => each.length)),
        })
        for (const length of [900, 300, 100]) {
          spool.append('x'.repeat(length), '')
          await new Promise(resolve => setImmediate(resolve))
        }
        console.log(JSON.stringify({ kept: (await spool.peek(9)).map(each => each.length), lost }))
        await spool.close()`
      const bounded = `trap '' XFSZ; ulimit -f 2; "$@" 2>&1 | cat`
      const command = ['sh', '-c', bounded, 'sh', process.execPath, '-e', code, folder]
      const { stdout } = Bun.spawnSync(command, { cwd: import.meta.dir })

      expect(`${stdout}`.trim()).toBe('{"kept":[900,100],"lost":[300]}')
    }))

  test('starts another file when somebody removed the one that it writes to', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder, { bytesMax: 1e9, fileBytesMax: 1e9 })
      const files: string[] = []
      for (let round = 0; round < 3; round++) {
        await until('a file', 10_000, () => {
          add(spool, 'line')
          return readdirSync(folder).length > 0
        })
        const [file = ''] = readdirSync(folder)
        files.push(file)
        await rm(join(folder, file))
      }

      expect(new Set(files).size).toBe(3)
      await spool.close()
    }))

  test('keeps lines in memory, up to a limit, when it cannot write', async () => {
    const spool = spoolIn('/proc/self', { rememberedMax: 2 })
    add(spool, 'one')
    await settled(1)
    add(spool, 'two', 'three')
    await settled(1)
    add(spool, 'four')
    const read = await readAll(spool)
    add(spool, 'five')

    expect([read, await readAll(spool)]).toEqual([['one', 'two', 'three'], ['five']])
    await spool.close()
  })

  test.each([1000, 0])(
    'goes on when somebody has taken its files for those of a dead process (%d remembered)',
    rememberedMax =>
      inFolder(async folder => {
        const spool = spoolIn(folder, { rememberedMax, carry: () => ['-open'] })
        add(spool, 'one', 'two')
        await settled(1)
        const [file = ''] = readdirSync(folder)
        await rm(join(folder, file))
        add(spool, 'three')

        const until = performance.now() + 5000
        while (readdirSync(folder).length === 0 && performance.now() < until) {
          await Bun.sleep(5)
          spool.append('-', null)
        }
        add(spool, 'four')

        expect(readdirSync(folder)).not.toContain(file)
        expect(await Bun.file(join(folder, readdirSync(folder)[0] ?? '')).text()).toStartWith('-open\n')
        expect(await readAll(spool)).toEqual(['one', 'two', 'three', 'four'])
        expect(await spool.peek(1)).toEqual([])
        await spool.close()
      }),
  )

  test('writes at once what other processes must find after a crash, and the rest by the end of the turn', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder)
      const written = () => Bun.file(join(folder, 'here.1.a.1.spool')).text()
      add(spool, 'one')
      spool.append('-open', null)
      await Promise.resolve()
      const soon = statSync(join(folder, 'here.1.a.1.spool')).size
      add(spool, 'two')
      spool.append('-open', null)
      await Promise.resolve()
      const again = statSync(join(folder, 'here.1.a.1.spool')).size
      add(spool, 'three')
      await settled(1)

      expect([soon, again]).toEqual(['one\n-open\n'.length, 'one\n-open\ntwo\n-open\n'.length])
      expect(await written()).toBe('one\n-open\ntwo\n-open\nthree\n')
      await spool.close()
    }))

  test('comes to its end also where the disk does not confirm what was written', () =>
    inFolder(async folder => {
      // A device takes what is written, and cannot be synced.
      symlinkSync('/dev/null', join(folder, 'here.1.a.1.spool'))
      const spool = spoolIn(folder)
      add(spool, 'one')

      expect(await spool.close()).toEqual([])
    }))

  test('leaves no files when all was read, and keeps them otherwise', () =>
    inFolder(async folder => {
      const spool = spoolIn(folder)
      add(spool, 'one')
      await spool.drop((await spool.peek(9)).length)
      await spool.close()
      const empty = readdirSync(folder)
      const other = spoolIn(folder, { name: 'here.2.b' })
      add(other, 'two')
      await other.close()

      expect([empty, readdirSync(folder)]).toEqual([[], ['here.2.b.1.spool']])
    }))
})

describe('the spool that a dead process left', () => {
  const host = spoolName('').split('.')[0] ?? hostname()
  const now = Date.now()

  /** A process that looks after what others have left, by a clock of its own. */
  function heirOf(folder: string, name = spoolName('mine')) {
    const clock = fakeClock(now)
    const adoption = { folder, name, clock, sightings: new Map() }
    return {
      clock,
      async adopted(): Promise<string[]> {
        const taken: string[] = []
        const end = () => void taken.push('end')
        await adoptSpools(adoption, { begin() {}, line: line => void taken.push(line), end })
        return taken
      },
      /** It has no room for it. */
      async refuses(): Promise<string | null> {
        const line = () => {
          throw new Error('no room')
        }
        return adoptSpools(adoption, { begin() {}, line, end() {} }).then(
          () => null,
          ({ message }) => message,
        )
      },
    }
  }

  const adopted = (folder: string, name?: string) => heirOf(folder, name).adopted()

  test('is taken over once, in order', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.old.2.spool`), 'three\n')
      await appendFile(join(folder, `${host}.${NOBODY}.old.1.spool`), 'one\ntwo\n')
      // Its last line was cut off just before its end.
      await appendFile(join(folder, `${host}.${NOBODY}.older.1.spool`), 'other')

      expect(await adopted(folder)).toEqual(['one', 'two', 'three', 'end', 'other', 'end'])
      expect(await adopted(folder)).toEqual([])
      expect(readdirSync(folder)).toEqual([])
    }))

  test('is taken over line by line, whatever text callers have put into it', () =>
    inFolder(async folder => {
      const name = `${host}.${NOBODY}.old`
      const lines = ['a\u2028b', 'c\u2029d', 'e\u0085f', `${'ü'.repeat(70_000)}€`, 'end of it']
      const spool = spoolIn(folder, { name })
      add(spool, ...lines)
      await spool.close()

      expect(await adopted(folder)).toEqual([...lines, 'end'])
    }))

  test('stays where it is while there is no room for it, however often that is tried', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.${'a'.repeat(36)}.1.spool`), 'one\ntwo\n')
      const full = () => heirOf(folder, spoolName('b'.repeat(36))).refuses()
      const tries: (string | null)[] = []
      for (let round = 0; round < 10; round++) tries.push(await full())

      expect(tries).toEqual(Array(10).fill('no room'))
      expect(await adopted(folder)).toEqual(['one', 'two', 'end'])
    }))

  test('is left to other processes by one that has no room for it', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.old.1.spool`), 'one\n')
      const begin = () => Promise.reject(new Error('no room'))
      const adoption = { folder, name: spoolName('mine'), clock: fakeClock(now), sightings: new Map() }
      await expect(adoptSpools(adoption, { begin, line() {}, end() {} })).rejects.toThrow('no room')

      expect(await adopted(folder, `${host}.${process.ppid}.other`)).toEqual(['one', 'end'])
    }))

  test('is not taken from a process that takes long to take it over', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.old.1.spool`), 'one\n'.repeat(50_000))
      const clock = fakeClock(now)
      const touched = new Set<number>()
      const line = () => {
        for (const file of readdirSync(folder)) touched.add(statSync(join(folder, file)).mtimeMs)
        clock.advance(1)
      }
      const adoption = { folder, name: spoolName('mine'), clock, sightings: new Map() }
      await adoptSpools(adoption, { begin() {}, line, end() {} })

      expect(touched.size).toBeGreaterThan(2)
    }))

  test('stays where it is until all of it is stored elsewhere', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.old.1.spool`), 'one\n')
      const end = () => settled(1).then(() => Promise.reject(new Error('not taken by the disk')))
      const adoption = { folder, name: spoolName('mine'), clock: fakeClock(now), sightings: new Map() }
      const adopting = adoptSpools(adoption, { begin() {}, line() {}, end })

      await expect(adopting).rejects.toThrow('not taken by the disk')
      expect(await adopted(folder)).toEqual(['one', 'end'])
    }))

  test('is not taken from a process that is taking it over', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${host}.${NOBODY}.old.1.spool`), 'one\n')
      await heirOf(folder, `${host}.${process.ppid}.first`).refuses()
      const heir = heirOf(folder)
      const others = await heir.adopted()
      const [claimed = ''] = readdirSync(folder)
      heir.clock.advance(SILENT_MS + 1)

      expect(claimed).toStartWith(`${host}.${process.ppid}.first`)
      expect([others, await heir.adopted()]).toEqual([[], ['one', 'end']])
    }))

  test('that cannot be read is reported, and does not prevent taking over others', () =>
    inFolder(async folder => {
      await mkdir(join(folder, `${host}.${NOBODY}.a.1.spool`))
      await appendFile(join(folder, `${host}.${NOBODY}.b.1.spool`), 'one\n')
      const told: string[] = []
      const take = {
        begin: () => void told.push('begin'),
        line: (line: string) => void told.push(line),
        end: () => void told.push('end'),
      }

      const adoption = { folder, name: spoolName('mine'), clock: fakeClock(now), sightings: new Map() }
      await expect(adoptSpools(adoption, take)).rejects.toThrow('EISDIR')

      expect(told).toEqual(['begin', 'begin', 'one', 'end'])
      expect(readdirSync(folder)).toHaveLength(1)
    }))

  test('is taken over as a whole by one of several processes that try at once', () =>
    inFolder(async folder => {
      const files = Array.from({ length: 8 }, (_, at) => at + 1)
      const dead = Array.from({ length: 10 }, (_, at) => `${host}.${NOBODY}.dead-${at}`)
      for (const name of dead) {
        for (const file of files) await appendFile(join(folder, `${name}.${file}.spool`), `${name} ${file}\n`)
      }
      const heirs = Array.from({ length: 4 }, (_, at) => adopted(folder, `${host}.${process.ppid}.heir-${at}`))

      const taken = (await Promise.all(heirs)).flatMap(lines => lines.join('\n').split('\nend'))

      const parts = taken.map(part => part.trim().split('\n')).filter(([first]) => first !== '')
      const whole = dead.map(name => files.map(file => `${name} ${file}`))
      expect(parts.sort(([a = ''], [b = '']) => (a < b ? -1 : 1))).toEqual(whole)
      expect(readdirSync(folder)).toEqual([])
    }))

  test('is taken over when the process that began to take it over has died', () =>
    inFolder(async folder => {
      const owner = join(folder, `${host}.${NOBODY}.old`)
      await appendFile(`${owner}.1.spool`, 'one\n')
      await appendFile(`${owner}.claim`, '')
      const meanwhile = await adopted(folder)
      const old = new Date(now - 600_000)
      utimesSync(`${owner}.claim`, old, old)
      const rounds = [await adopted(folder), await adopted(folder)]

      expect([meanwhile, rounds.flat()]).toEqual([[], ['one', 'end']])
      expect(readdirSync(folder)).toEqual([])
    }))

  test('is taken over from an earlier process with the same process id', () =>
    inFolder(async folder => {
      await appendFile(join(folder, `${spoolName('earlier')}.1.spool`), 'one\n')

      expect(await adopted(folder)).toEqual(['one', 'end'])
    }))

  test('is not taken from a running process, here or on another machine', () =>
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

  test('is taken over from another machine when it was not changed for long', () =>
    inFolder(async folder => {
      const fileOf = (number: number) => join(folder, `elsewhere.${NOBODY}.b.${number}.spool`)
      const heir = heirOf(folder)
      const later = () => {
        heir.clock.advance(SILENT_MS + 1)
        return heir.adopted()
      }
      await appendFile(fileOf(1), 'one\n')
      const seen = await heir.adopted()
      await touchSpool(folder, `elsewhere.${NOBODY}.b`, now + 1000)
      const touched = await later()
      // It has begun another one meanwhile.
      await appendFile(fileOf(2), 'two\n')
      utimesSync(fileOf(2), new Date(now + 2000), new Date(now + 2000))
      const begun = await later()

      expect([seen, touched, begun, await later()]).toEqual([[], [], [], ['one', 'two', 'end']])
    }))

  test('shows that its process lives, and not that others do', () =>
    inFolder(async folder => {
      const then = new Date(now - 60_000)
      const files = [`${host}.1.a.1.spool`, `${host}.1.ab.1.spool`, `${host}.12.a.1.spool`].map(file =>
        join(folder, file),
      )
      for (const file of files) {
        await appendFile(file, 'one\n')
        utimesSync(file, then, then)
      }

      await touchSpool(folder, `${host}.1.a`, now)

      expect(files.map(file => statSync(file).mtimeMs)).toEqual([now, now - 60_000, now - 60_000])
    }))

  test('is not taken from a running process when a clock is set forward, or is ahead', () =>
    inFolder(async folder => {
      const heir = heirOf(folder)
      const owner = `${host}.${process.ppid}.a`
      await appendFile(join(folder, `${owner}.1.spool`), 'mine\n')
      const before = await heir.adopted()
      heir.clock.jump(86_400_000)
      const jumped = await heir.adopted()
      const rounds: string[][] = []
      for (let round = 1; round < 6; round++) {
        heir.clock.advance(20_000)
        await touchSpool(folder, owner, now + 20_000 * round)
        rounds.push(await heir.adopted())
      }

      expect([before, jumped, rounds.flat()]).toEqual([[], [], []])
    }))
})
