import { afterAll, beforeAll, expect, test } from 'bun:test'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { createLineWriter } from '#src/cli/sink.ts'
import { ownFolder } from '#tests/support/server-process.ts'

let folder: Awaited<ReturnType<typeof ownFolder>>
let made = 0
beforeAll(async () => {
  folder = await ownFolder('citadel-sink-')
})
afterAll(() => folder.remove())

/** A pipe that does not wait for its reader. */
function createPipe() {
  const path = join(folder.path, `pipe-${++made}`)
  Bun.spawnSync(['mkfifo', path])
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK)
  return {
    fd,
    /** Takes out all that is in it. */
    read() {
      const bytes = Buffer.alloc(1 << 20)
      let length = 0
      try {
        for (;;) length += readSync(fd, bytes, length, bytes.length - length, null)
      } catch {
        return bytes.toString('utf8', 0, length)
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}

test.each([
  ['alone', Number.POSITIVE_INFINITY],
  ['beside others', 4096],
])('a reader that does not keep up tears no line, and all that is missing was refused: %s', (_, most) => {
  using pipe = createPipe()
  const write = createLineWriter(pipe.fd, most)
  const [taken, refused] = [new Set<number>(), new Set<number>()]
  let read = ''

  for (let index = 0; index < 40; index++) {
    const lines = Array.from({ length: 100 }, (_, line) => `${JSON.stringify({ index, line, text: 'é'.repeat(40) })}\n`)
    try {
      write(lines.join(''))
      taken.add(index)
    } catch {
      refused.add(index)
    }
    if (index % 20 === 19) read += pipe.read()
  }
  write('')
  read += pipe.read()

  const lines = read.trimEnd().split('\n')
  const count = (from: number) => lines.filter(line => JSON.parse(line).index === from).length
  expect(refused.size).toBeGreaterThan(0)
  expect([...taken].map(count)).toEqual([...taken].map(() => 100))
  expect([...refused].map(count)).toEqual([...refused].map(() => 0))
})
