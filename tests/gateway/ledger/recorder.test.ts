import { describe, expect, test } from 'bun:test'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Fact } from '#core/journal.ts'
import type { LedgerBatch, LedgerRow } from '#core/ledger.ts'
import type { SpoolNeeds } from '#gateway/ledger/backlog.ts'
import type { KeptRow } from '#gateway/ledger/lines.ts'
import { createRecorder, type RecorderDeps } from '#gateway/ledger/recorder.ts'
import { createFileSpool } from '#stores/file-spool.ts'
import { createMemorySpool } from '#stores/memory-spool.ts'
import { adoptSpools, spoolName } from '#stores/spool-adoption.ts'
import { call, model, target } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'
import { ownFolder } from '#tests/support/server-process.ts'

const main = target('llm')
const candidate = { target: main, model: model('chat', [main]), reason: 'target of chat' }

/** A recorder before a store that can be away. */
function recorderOf(linesMax = 1000, spoolOf: RecorderDeps['spool'] = null) {
  const clock = fakeClock()
  const facts: Fact[] = []
  const written: LedgerBatch[] = []
  const state = { isAway: false, calls: 0 }
  const store = {
    hold: () => ({ refused: null, used: [] }),
    async write(batch: LedgerBatch) {
      state.calls++
      if (state.isAway) throw new Error('away')
      written.push(batch)
      return null
    },
    expire: () => 0,
    holds: () => 0,
  }
  const lines: string[] = []
  const spool = createMemorySpool<KeptRow>(linesMax)
  const recorder = createRecorder({
    clock,
    journal: { note: fact => facts.push(fact) },
    store,
    spool:
      spoolOf ??
      (() => ({
        ...spool,
        append(line, row) {
          lines.push(line)
          return spool.append(line, row)
        },
      })),
  })
  const end = (id: string, more = {}) =>
    recorder.subscriber({ type: 'request-settled', record: recordOf({ id, ...more }) })
  const rows = (): LedgerRow[] => written.flatMap(({ requests }) => requests)
  return { clock, facts, written, state, lines, recorder, end, rows }
}

/** A spool on a disk that takes nothing. */
const onFullDisk: RecorderDeps['spool'] = needs =>
  createFileSpool<KeptRow>({
    ...{ folder: '/proc/self', name: 'nowhere', bytesMax: 1e6, fileBytesMax: 1e6, rememberedMax: 9, ...needs },
  })

async function advance({ clock }: ReturnType<typeof recorderOf>, ms: number): Promise<void> {
  clock.advance(ms)
  await settled(10)
}

describe('the recorder', () => {
  test('gathers rows of a moment and writes them together', async () => {
    const tools = recorderOf()
    for (let request = 0; request < 199; request++) tools.end(`r${request}`)
    await advance(tools, 99)
    const before = tools.state.calls
    await advance(tools, 1)

    expect(before).toBe(0)
    expect(tools.written.map(({ requests }) => requests.length)).toEqual([199])
  })

  test('writes whole batches at once and in their order, and lets the rest gather', async () => {
    const tools = recorderOf()
    for (let request = 0; request < 450; request++) tools.end(`r${request}`)
    await advance(tools, 0)
    const atOnce = tools.written.map(({ requests }) => requests.length)
    await advance(tools, 100)

    expect(atOnce).toEqual([200, 200])
    expect(tools.written.map(({ requests }) => requests.length)).toEqual([200, 200, 50])
    expect(tools.rows().map(({ id }) => id)).toEqual(Array.from({ length: 450 }, (_, request) => `r${request}`))
    expect(tools.recorder.depth()).toBe(0)
  })

  test('does not ask a store that is away more often because more rows come', async () => {
    const tools = recorderOf()
    tools.state.isAway = true
    tools.end('first')
    await advance(tools, 100)
    const asked = tools.state.calls
    for (let request = 0; request < 450; request++) tools.end(`r${request}`)
    await advance(tools, 100)

    expect([asked, tools.state.calls]).toEqual([1, 1])
  })

  test('keeps rows while the store is away, asks it again and again, and then writes each once', async () => {
    const tools = recorderOf()
    tools.state.isAway = true
    tools.end('one')
    await advance(tools, 100)
    tools.end('two')
    await advance(tools, 10_000)
    const waiting = tools.recorder.depth()
    tools.state.isAway = false
    await advance(tools, 5000)

    expect(waiting).toBe(2)
    expect(tools.rows().map(({ id }) => id)).toEqual(['one', 'two'])
    expect(tools.facts[0]).toMatchObject({ type: 'rows-delayed', waiting: 1 })
  })

  test('asks a store that is away less and less often, and hurries again with a batch once it is back', async () => {
    const tools = recorderOf()
    tools.state.isAway = true
    tools.end('one')
    for (let second = 0; second < 60; second++) await advance(tools, 1000)
    const asked = tools.state.calls
    tools.state.isAway = false
    await advance(tools, 5000)
    for (let request = 0; request < 200; request++) tools.end(`r${request}`)
    await advance(tools, 0)

    expect(asked).toBeWithin(10, 20)
    expect(tools.rows()).toHaveLength(201)
    expect(tools.facts.map(({ type }) => type)).toEqual(['rows-delayed', 'rows-taken-again'])
  })

  test('counts the rows that it has no room for as lost', () => {
    const { recorder, end } = recorderOf(2)
    for (const id of ['one', 'two', 'three']) end(id)

    expect([recorder.depth(), recorder.dropped()]).toEqual([2, 1])
  })

  test('writes an opening line before a call goes out, and no row of it', async () => {
    const tools = recorderOf()
    tools.recorder.opened(recordOf({ id: 'one' }), call(), candidate)
    const [line = ''] = tools.lines
    const [open, waiting] = [tools.recorder.open(), tools.recorder.depth()]
    tools.end('one')
    await advance(tools, 100)

    expect(JSON.parse(line.slice(1))).toMatchObject({ id: 'one', model: 'chat', server: 'llm' })
    expect([open, waiting, tools.recorder.open()]).toEqual([1, 0, 0])
    expect(tools.rows().map(({ id, outcome }) => [id, outcome])).toEqual([['one', 'ok']])
  })

  test('makes lost rows of what a dead process had under way, and keeps its other rows', async () => {
    const dead = recorderOf()
    dead.recorder.opened(recordOf({ id: 'settled' }), call(), candidate)
    dead.recorder.opened(recordOf({ id: 'under way' }), call(), candidate)
    dead.end('settled')
    const heir = recorderOf()
    for (const line of dead.lines) await heir.recorder.adopt.line(line)
    await heir.recorder.adopt.end()
    await advance(heir, 100)

    expect(heir.rows().map(({ id, outcome }) => [id, outcome])).toEqual([
      ['settled', 'ok'],
      ['under way', 'lost'],
    ])
  })

  const left = ['sound ok', 'damaged lost', 'under way lost']
  test.each([
    ['the name of a column', 'r', '"status":', '"statur":', left],
    [
      'the name of a column that may be empty',
      'r',
      '"model":',
      '"modeM":',
      ['damaged ok', 'sound ok', 'under way lost'],
    ],
    ['a number', 'r', '"status":200', '"status":2e99', left],
    ['a text', 'r', '"tenant":"shop"', '"tenant":"\\u0000"', left],
    ['what the line is', 'r', 'r{', 's{', left],
    [
      'the name of a column of a request that goes out',
      'o',
      '"started_at":',
      '"started_ay":',
      ['damaged ok', 'sound ok'],
    ],
  ])(
    'leaves out what no database takes, damaged in %s, and takes what is behind it',
    async (_, kind, was, is, expected) => {
      const dead = recorderOf()
      for (const id of ['damaged', 'under way']) dead.recorder.opened(recordOf({ id }), call(), candidate)
      for (const id of ['damaged', 'sound']) dead.end(id)
      await advance(dead, 100)
      const damaged = kind === 'r' ? 'r{"id":"damaged"' : 'o{"id":"under way"'
      const lines = dead.lines.map(line => (line.startsWith(damaged) ? line.replace(was, is) : line))
      const heir = recorderOf()
      for (const line of lines) await heir.recorder.adopt.line(line)
      await heir.recorder.adopt.end()
      await advance(heir, 100)

      expect(lines).not.toEqual(dead.lines)
      expect(heir.rows().map(({ id, outcome }) => `${id} ${outcome}`)).toEqual(expected)
      const columns = Object.keys(dead.rows()[0] ?? {})
      for (const row of heir.rows()) expect(Object.keys(row)).toEqual(columns)
    },
  )

  test('does not take over what it has no room for', async () => {
    const dead = recorderOf()
    dead.recorder.opened(recordOf({ id: 'under way' }), call(), candidate)
    for (const id of ['one', 'two', 'three']) dead.end(id)
    const adopt = async ({ recorder }: typeof dead) => {
      await recorder.adopt.begin()
      for (const line of dead.lines) await recorder.adopt.line(line)
      await recorder.adopt.end()
    }
    const [narrow, almost] = [recorderOf(2), recorderOf(3)]
    for (const heir of [narrow, almost]) await expect(adopt(heir)).rejects.toThrow('no room')
    await advance(narrow, 100)
    await expect(adopt(narrow)).rejects.toThrow('no room')

    expect([narrow.recorder.dropped(), almost.recorder.dropped()]).toEqual([0, 0])
    // What was left of the first time is no request of anybody else's.
    await narrow.recorder.adopt.begin()
    await narrow.recorder.adopt.end()
    await advance(narrow, 100)
    expect(narrow.rows().filter(({ outcome }) => outcome === 'lost')).toEqual([])
  })

  test('takes over more than it has room for as fast as the store takes it, beside rows of its own', async () => {
    const dead = recorderOf()
    for (let request = 0; request < 900; request++) dead.end(`dead ${request}`)
    const heir = recorderOf(300)
    const { adopt } = heir.recorder
    heir.end('own')
    await adopt.begin()
    for (const line of dead.lines) await adopt.line(line)
    heir.end('another')
    await adopt.end()
    await advance(heir, 100)

    expect([heir.rows().length, heir.recorder.dropped()]).toEqual([902, 0])
  })

  test('takes over no more than a batch while the store is away, and nothing where one waits', async () => {
    const dead = recorderOf()
    for (let request = 0; request < 900; request++) dead.end(`dead ${request}`)
    const heir = recorderOf(300)
    heir.state.isAway = true
    const adopting = async () => {
      await heir.recorder.adopt.begin()
      for (const line of dead.lines) await heir.recorder.adopt.line(line)
    }

    for (const round of [1, 2]) await expect(adopting(), `${round}`).rejects.toThrow('no room')
    for (let request = 0; request < 100; request++) heir.end(`own ${request}`)

    expect([heir.recorder.depth(), heir.recorder.dropped()]).toEqual([300, 0])
  })

  test.each([
    ['the row of a request', 'ok'],
    ['a request under way, of which it makes the row', 'lost'],
  ])('leaves where it is what its own disk does not take: %s', async (_, outcome) => {
    const [own, left] = [await ownFolder('citadel-own-'), await ownFolder('citadel-left-')]
    const dead = recorderOf()
    if (outcome === 'ok') dead.end('one')
    else dead.recorder.opened(recordOf({ id: 'one' }), call(), candidate)
    await writeFile(join(left.path, `${spoolName('dead')}.1.spool`), `${dead.lines.join('\n')}\n`)
    const sizes = { bytesMax: 1e6, fileBytesMax: 1e6, rememberedMax: 10 }
    const heir = recorderOf(0, needs => createFileSpool({ folder: own.path, name: 'heir', ...needs, ...sizes }))
    const adoption = {
      ...{ folder: left.path, name: spoolName('heir'), clock: fakeClock() },
      sightings: new Map(),
    }
    const adopt = () => adoptSpools(adoption, heir.recorder.adopt)

    await own.remove()
    const tried = await adopt().then(
      () => 'taken',
      ({ message }) => message,
    )
    const kept = await readdir(left.path)
    await mkdir(own.path)
    await adopt()
    await advance(heir, 100)

    expect(tried).toContain('not taken')
    expect(kept).toHaveLength(1)
    expect(await readdir(left.path)).toEqual([])
    expect(heir.rows().map(({ id, outcome: how }) => [id, how])).toEqual([['one', outcome]])
    await heir.recorder.close()
    await Promise.all([own.remove(), left.remove()])
  })

  test('takes over what its disk takes, whatever the disk did not take before', async () => {
    const dead = recorderOf()
    dead.end('one')
    let lose: SpoolNeeds['onLost'] = () => {}
    const heir = recorderOf(0, needs => {
      lose = needs.onLost
      return createMemorySpool(1000)
    })
    lose(['a line of its own'], true)
    await heir.recorder.adopt.begin()
    for (const line of dead.lines) await heir.recorder.adopt.line(line)

    await heir.recorder.adopt.end()

    await advance(heir, 100)
    expect(heir.rows().map(({ id }) => id)).toEqual(['one'])
  })

  test('writes what its disk does not take to a store that is well', async () => {
    const fixture = recorderOf(0, needs =>
      createFileSpool<KeptRow>({
        ...{ folder: '/proc/self', name: 'nowhere', bytesMax: 1e6, fileBytesMax: 1e6, rememberedMax: 2, ...needs },
      }),
    )
    fixture.end('one')
    await advance(fixture, 100)
    fixture.state.isAway = true
    fixture.end('two')
    await advance(fixture, 100)
    for (const id of ['three', 'four']) {
      fixture.end(id)
      await settled(1)
    }
    const [depth, dropped] = [fixture.recorder.depth(), fixture.recorder.dropped()]
    fixture.state.isAway = false
    await advance(fixture, 5000)

    expect([depth, dropped, fixture.recorder.depth()]).toEqual([2, 1, 0])
    expect(fixture.rows().map(({ id }) => id)).toEqual(['one', 'two', 'three'])
  })

  test('tells of the rows that end with the process, because neither its disk nor its store took them', async () => {
    const lost: Fact[][] = []
    for (const spool of [onFullDisk, () => createMemorySpool<KeptRow>(9)]) {
      const fixture = recorderOf(0, spool)
      fixture.end('one')
      await advance(fixture, 100)
      fixture.state.isAway = true
      for (const id of ['two', 'three']) fixture.end(id)
      await advance(fixture, 100)
      await fixture.recorder.close()
      lost.push(fixture.facts.filter(({ type }) => type === 'rows-lost'))
    }

    expect(lost).toEqual([[{ type: 'rows-lost', count: 2 }], [{ type: 'rows-lost', count: 2 }]])
  })

  test('does not call lost what another process has left and still has on its disk', async () => {
    const dead = recorderOf()
    dead.end('one')
    const heir = recorderOf(0, onFullDisk)
    heir.state.isAway = true
    heir.end('own')
    for (let round = 0; round < 3; round++) {
      await heir.recorder.adopt.begin()
      for (const line of dead.lines) await heir.recorder.adopt.line(line)
      await expect(heir.recorder.adopt.end()).rejects.toThrow('not taken')
    }

    await heir.recorder.close()

    expect(heir.facts.filter(({ type }) => type === 'rows-lost')).toEqual([{ type: 'rows-lost', count: 1 }])
  })

  test('counts what its disk no longer says as dropped, and looks for it no more', async () => {
    const own = await ownFolder('citadel-spool-')
    const fixture = recorderOf(0, needs =>
      createFileSpool<KeptRow>({
        ...{ folder: own.path, name: 'own', bytesMax: 1e6, fileBytesMax: 1e6, rememberedMax: 1, ...needs },
      }),
    )
    fixture.state.isAway = true
    for (const id of ['one', 'two', 'three']) {
      fixture.end(id)
      await settled(1)
    }
    const [file = ''] = await readdir(own.path)
    const text = await readFile(join(own.path, file), 'utf8')
    await writeFile(join(own.path, file), text.replace('"id":"two"', '"ix":"two"'))
    fixture.state.isAway = false
    await fixture.recorder.flush()

    expect(fixture.rows().map(({ id }) => id)).toEqual(['one', 'three'])
    expect([fixture.recorder.depth(), fixture.recorder.dropped()]).toEqual([0, 1])
    await fixture.recorder.close()
    await own.remove()
  })

  test('keeps a failed attempt as a row of its own', async () => {
    const tools = recorderOf()
    tools.end('one', { attempts: [attemptEntry('other', { result: 'upstream_timeout' }), attemptEntry('llm')] })
    await advance(tools, 100)

    expect(tools.rows().map(({ id, parent, outcome }) => [id, parent, outcome])).toEqual([
      ['one', null, 'ok'],
      ['one.1', 'one', 'failover'],
    ])
  })

  test('counts once what the cache has saved a request with several attempts', async () => {
    const tools = recorderOf()
    const attempts = [attemptEntry('other', { result: 'upstream_timeout' }), attemptEntry('llm')]
    tools.end('one', { attempts, savedTokens: 5, savedNano: 7 })
    await advance(tools, 100)

    expect(tools.rows().map(({ id, saved_tokens, saved_nano }) => [id, saved_tokens, saved_nano])).toEqual([
      ['one', 5, 7],
      ['one.1', 0, 0],
    ])
  })

  test('writes what waits when the process ends', async () => {
    const tools = recorderOf()
    for (let request = 0; request < 201; request++) tools.end(`r${request}`)

    await tools.recorder.close()

    expect(tools.rows()).toHaveLength(201)
    expect(tools.recorder.depth()).toBe(0)
    expect(tools.facts).toEqual([])
  })

  test('does not wait for ever for its store when the process ends', async () => {
    const tools = recorderOf()
    tools.end('one')
    tools.state.isAway = true
    let isClosed = false
    void tools.recorder.close().then(() => {
      isClosed = true
    })
    await advance(tools, 2000)

    expect(isClosed).toBe(true)
  })
})
