import { closeSync, fdatasync, fstat, ftruncateSync, mkdirSync, openSync, read, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Spool } from '#core/ledger.ts'

const NEWLINE = 10
const READ_BYTES = 256 * 1024
/** How long what was written may be missing from the disk when the power fails, in milliseconds. */
const SYNC_MS = 200
const sync = promisify(fdatasync)
const statusOf = promisify(fstat)
const readAt = promisify(read)

/** How a spool is kept. */
export interface FileSpoolOptions<T> {
  /** Made when it is missing. */
  readonly folder: string
  /** How its files begin; nobody else's do. */
  readonly name: string
  /** The most that may wait on the disk. */
  readonly bytesMax: number
  /** The size from which another file is begun. */
  readonly fileBytesMax: number
  /** How much of what waits is remembered, so that it need not be read from the disk. */
  readonly rememberedMax: number
  /** Says again what a line said; `null` for a line that says nothing. */
  readonly read: (line: string) => T | null
  /** Lines that every file has to have at its beginning. */
  readonly carry: () => readonly string[]
  /** Told of lines that the disk did not take; what they say may be remembered all the same. */
  readonly onLost: (lines: readonly string[], isRemembered: boolean) => void
}

interface Segment<T> {
  readonly path: string
  /** Also to read by: whoever takes this process for dead takes its files away. -1 = there is none. */
  readonly fd: number
  /** Bytes. */
  written: number
  /** Up to which byte its lines are remembered, or were. */
  known: number
  /** What is remembered of its lines, without what was dropped. */
  waiting: T[]
  /** Whether the file was removed, so that nobody will find what is added to it. */
  isGone: boolean
}

/** Keeps lines in files. Those that say nothing to this process, but to its heirs, are written before the event loop
 * turns, and so before anything else that the process then sends; the others with them, or at the end of the turn. They
 * are on the disk a moment later: a machine that loses its power loses little. Files are read only for what is more than
 * can be remembered. */
export function createFileSpool<T>(options: FileSpoolOptions<T>): Spool<T> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const segments: Segment<T>[] = []
  let made = 0
  let bytes = 0
  let lines: string[] = []
  let said: T[] = []
  /** Characters that are not written yet. */
  let gathered = 0
  let isUrgent = false
  let remembered = 0
  let syncing: ReturnType<typeof setTimeout> | null = null

  function begin(): Segment<T> {
    const path = join(options.folder, `${options.name}.${++made}.spool`)
    const fd = openSync(path, 'a+', 0o600)
    const segment: Segment<T> = { path, fd, written: 0, known: 0, waiting: [], isGone: false }
    try {
      const carried = options.carry()
      if (carried.length > 0) segment.known = write(segment, carried)
    } catch (thrown) {
      closeSync(fd)
      rmSync(path, { force: true })
      throw thrown
    }
    segments.push(segment)
    return segment
  }

  /** @returns How long the file is then. */
  function write(segment: Segment<T>, added: readonly string[]): number {
    const text = Buffer.from(`${added.join('\n')}\n`)
    const written = writeSync(segment.fd, text)
    if (written < text.length) {
      // Half a line would spoil the one behind it.
      ftruncateSync(segment.fd, segment.written)
      throw new Error('the disk is full')
    }
    segment.written += written
    bytes += written
    syncing ??= setTimeout(flushed, SYNC_MS)
    return segment.written
  }

  function flushed(): void {
    syncing = null
    // A file that is done with meanwhile needs no place on the disk.
    for (const segment of segments) settle(segment).catch(() => {})
  }

  async function settle(segment: Segment<T>): Promise<void> {
    await sync(segment.fd)
    segment.isGone = (await statusOf(segment.fd)).nlink === 0
  }

  function flush(): void {
    isUrgent = false
    gathered = 0
    if (lines.length === 0) return
    const [added, sayings] = [lines, said]
    lines = []
    said = []
    try {
      const last = segments.at(-1)
      const isFull = last === undefined || last.written >= options.fileBytesMax || last.isGone
      const segment = isFull ? begin() : last
      const isKnown = segment.known === segment.written && remembered < options.rememberedMax
      const end = write(segment, added)
      if (isKnown) remember(segment, sayings, end)
    } catch {
      // A full disk must not end the process, nor lose what the store would take.
      const last = segments.at(-1) ?? fileless()
      const isRemembered = last.known === last.written && remembered < options.rememberedMax
      if (isRemembered) remember(last, sayings, last.known)
      options.onLost(added, isRemembered)
    }
  }

  /** Keeps what no file took before there was one. */
  function fileless(): Segment<T> {
    const segment: Segment<T> = { path: '', fd: -1, written: 0, known: 0, waiting: [], isGone: true }
    segments.push(segment)
    return segment
  }

  function remember(segment: Segment<T>, sayings: readonly T[], end: number): void {
    segment.known = end
    remembered += sayings.length
    if (segment.waiting.length === 0) segment.waiting = [...sayings]
    else segment.waiting.push(...sayings)
  }

  /** Reads on in a file, until something waits or all is read. */
  async function readOn(segment: Segment<T>): Promise<void> {
    while (segment.waiting.length === 0 && segment.known < segment.written) {
      const { text, end } = await readLines(segment)
      const sayings: T[] = []
      for (const line of text.split('\n')) {
        const saying = options.read(line)
        if (saying !== null) sayings.push(saying)
      }
      remember(segment, sayings, end)
    }
  }

  /** Removes files of which nothing waits; the last one is still written to. */
  async function removeDone(): Promise<void> {
    for (const each of segments.slice(0, -1)) if (isDone(each)) await remove(each)
  }

  async function remove(segment: Segment<T>): Promise<void> {
    segments.splice(segments.indexOf(segment), 1)
    bytes -= segment.written
    if (segment.fd === -1) return
    closeSync(segment.fd)
    rmSync(segment.path, { force: true })
  }

  return {
    append(line, saying) {
      if (bytes + gathered >= options.bytesMax) return false
      gathered += line.length
      if (lines.push(line) === 1) setImmediate(flush)
      if (saying !== null) said.push(saying)
      else if (!isUrgent) {
        isUrgent = true
        queueMicrotask(flush)
      }
      return true
    },
    async peek(max) {
      flush()
      for (const segment of [...segments]) {
        await readOn(segment)
        if (segment.waiting.length > 0) return segment.waiting.slice(0, max)
      }
      await removeDone()
      return []
    },
    async drop(count) {
      const segment = segments.find(({ waiting }) => waiting.length > 0)
      if (segment === undefined) return
      remembered -= Math.min(count, segment.waiting.length)
      segment.waiting = segment.waiting.slice(count)
      await removeDone()
    },
    async close() {
      flush()
      if (syncing !== null) clearTimeout(syncing)
      const carried = options.carry().length > 0
      for (const segment of [...segments]) {
        if (segment.fd === -1 || (isDone(segment) && !carried)) await remove(segment)
        else {
          await sync(segment.fd)
          closeSync(segment.fd)
        }
      }
    },
  }
}

/** Whether nothing of a file waits. */
function isDone<T>({ waiting, known, written }: Segment<T>): boolean {
  return waiting.length === 0 && known >= written
}

/** Reads whole lines from where a file is not known any more.
 *
 * @returns The lines without their last end, and where they end in the file. */
async function readLines<T>(segment: Segment<T>): Promise<{ readonly text: string; readonly end: number }> {
  const rest = segment.written - segment.known
  for (let size = Math.min(READ_BYTES, rest); ; size = Math.min(size * 2, rest)) {
    const buffer = Buffer.allocUnsafe(size)
    const { bytesRead } = await readAt(segment.fd, buffer, 0, size, segment.known)
    const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    if (end >= 0) return { text: buffer.toString('utf8', 0, end), end: segment.known + end + 1 }
    // A line may be longer than what was read; behind the last end of a line there is nothing.
    if (size >= rest) return { text: '', end: segment.written }
  }
}
