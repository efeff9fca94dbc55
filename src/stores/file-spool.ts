import { closeSync, fdatasync, fstat, ftruncateSync, mkdirSync, openSync, read, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Spool } from '#core/ledger.ts'

const NEWLINE = 10
const READ_BYTES = 256 * 1024
/** Files are synced to the disk this long after a write, in milliseconds: a power failure loses at most that much. */
const SYNC_MS = 200
const sync = promisify(fdatasync)
const statusOf = promisify(fstat)
const readAt = promisify(read)

/** How a spool is kept. */
export interface FileSpoolOptions<T> {
  /** Created when it is missing. */
  readonly folder: string
  /** The prefix of its files, unique to this process. */
  readonly name: string
  /** The most that may wait on the disk, in bytes; `append` refuses more. */
  readonly bytesMax: number
  /** The size from which the next file is begun, in bytes. */
  readonly fileBytesMax: number
  /** How many waiting entries are kept in memory; further ones are read from the files again. */
  readonly rememberedMax: number
  /** Parses the entry of a line; `null` for a line without an entry. */
  readonly read: (line: string) => T | null
  /** The lines that every new file begins with. */
  readonly carry: () => readonly string[]
  /** Called with lines that could not be written. `isRemembered` = their entries are in memory and not lost yet. */
  readonly onLost: (lines: readonly string[], isRemembered: boolean) => void
}

/** One file of the spool. */
interface Segment<T> {
  readonly path: string
  /** Used for reading too, because a process that takes this one for dead renames its files. -1 = no file. */
  readonly fd: number
  /** Its size in bytes. */
  written: number
  /** Up to which byte its entries were read into `waiting`. */
  known: number
  /** The entries in memory that are not dropped yet. */
  waiting: T[]
  /** Whether the file was deleted by somebody, so that lines added to it would be lost with this process. */
  isGone: boolean
}

/** Creates a spool that keeps its lines in files.
 *
 * A line without an entry is only for the process that takes over after a crash. It is written in a microtask, before
 * this process sends anything else. Other lines are written with it, or at the end of the turn of the event loop. Files
 * are read only when more entries wait than are kept in memory. */
export function createFileSpool<T>(options: FileSpoolOptions<T>): Spool<T> {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const segments: Segment<T>[] = []
  let filesMade = 0
  let bytes = 0
  let newLines: string[] = []
  let newEntries: T[] = []
  /** The length of `newLines`, in characters. */
  let unwrittenCharacters = 0
  let isUrgent = false
  let remembered = 0
  /** Those of the remembered entries that stand in no file. */
  const homeless = new Set<T>()
  let syncing: ReturnType<typeof setTimeout> | null = null

  function begin(): Segment<T> {
    const path = join(options.folder, `${options.name}.${++filesMade}.spool`)
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

  /** @returns The size of the file afterwards, in bytes.
   * @throws Error when the disk is full; the file is then as before. */
  function write(segment: Segment<T>, added: readonly string[]): number {
    const text = Buffer.from(`${added.join('\n')}\n`)
    const written = writeSync(segment.fd, text)
    if (written < text.length) {
      // A partial line would corrupt the next one.
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
    // Fails for a file that was closed and removed meanwhile, which needs no sync.
    for (const segment of segments) settle(segment).catch(() => {})
  }

  async function settle(segment: Segment<T>): Promise<void> {
    await sync(segment.fd)
    segment.isGone = (await statusOf(segment.fd)).nlink === 0
  }

  function flush(): void {
    isUrgent = false
    unwrittenCharacters = 0
    if (newLines.length === 0) return
    const [added, entries] = [newLines, newEntries]
    newLines = []
    newEntries = []
    try {
      const last = segments.at(-1)
      const isFull = last === undefined || last.written >= options.fileBytesMax || last.isGone
      const segment = isFull ? begin() : last
      const isKnown = segment.known === segment.written && remembered < options.rememberedMax
      const end = write(segment, added)
      if (isKnown) remember(segment, entries, end)
    } catch {
      // A full disk must not end the process. Entries that fit in memory still get to the database.
      const last = segments.at(-1) ?? openMemorySegment()
      const isRemembered = last.known === last.written && remembered < options.rememberedMax
      if (isRemembered) {
        remember(last, entries, last.known)
        for (const entry of entries) homeless.add(entry)
      }
      options.onLost(added, isRemembered)
    }
  }

  /** Begins a segment without a file, for entries that came before any file could be made. */
  function openMemorySegment(): Segment<T> {
    const segment: Segment<T> = { path: '', fd: -1, written: 0, known: 0, waiting: [], isGone: true }
    segments.push(segment)
    return segment
  }

  function remember(segment: Segment<T>, entries: readonly T[], end: number): void {
    segment.known = end
    remembered += entries.length
    if (segment.waiting.length === 0) segment.waiting = [...entries]
    else segment.waiting.push(...entries)
  }

  /** Reads entries from a file until at least one waits, or all are read. */
  async function readOn(segment: Segment<T>): Promise<void> {
    while (segment.waiting.length === 0 && segment.known < segment.written) {
      const { text, end } = await readLines(segment)
      const entries: T[] = []
      for (const line of text.split('\n')) {
        const entry = options.read(line)
        if (entry !== null) entries.push(entry)
      }
      remember(segment, entries, end)
    }
  }

  /** Removes files without waiting entries, except the last one, which is still written to. */
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
    append(line, entry) {
      if (bytes + unwrittenCharacters >= options.bytesMax) return false
      unwrittenCharacters += line.length
      if (newLines.push(line) === 1) setImmediate(flush)
      if (entry !== null) newEntries.push(entry)
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
      if (homeless.size > 0) for (const entry of segment.waiting.slice(0, count)) homeless.delete(entry)
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
          // A disk that fails must not keep the process from ending.
          await sync(segment.fd).catch(() => {})
          closeSync(segment.fd)
        }
      }
      return [...homeless]
    },
  }
}

/** Whether every entry of a file was read and dropped. */
function isDone<T>({ waiting, known, written }: Segment<T>): boolean {
  return waiting.length === 0 && known >= written
}

/** Reads whole lines from the `known` position of a file.
 *
 * @returns The lines without the last line break, and the byte after them. */
async function readLines<T>(segment: Segment<T>): Promise<{ readonly text: string; readonly end: number }> {
  const rest = segment.written - segment.known
  for (let size = Math.min(READ_BYTES, rest); ; size = Math.min(size * 2, rest)) {
    const buffer = Buffer.allocUnsafe(size)
    const { bytesRead } = await readAt(segment.fd, buffer, 0, size, segment.known)
    const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    if (end >= 0) return { text: buffer.toString('utf8', 0, end), end: segment.known + end + 1 }
    // No line break: the line is longer than the buffer, unless this is the end of the file.
    if (size >= rest) return { text: '', end: segment.written }
  }
}
