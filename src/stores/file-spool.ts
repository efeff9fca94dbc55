import { closeSync, fdatasync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Spool } from '#core/ledger.ts'

const NEWLINE = 10
const READ_BYTES = 256 * 1024
/** How long what was written may be missing from the disk when the power fails, in milliseconds. */
const SYNC_MS = 200
const sync = promisify(fdatasync)

/** How a spool is kept. */
export interface FileSpoolOptions {
  /** Made when it is missing. */
  readonly folder: string
  /** How its files begin; nobody else's do. */
  readonly name: string
  /** The most that may wait on the disk. */
  readonly bytesMax: number
  /** The size from which another file is begun. */
  readonly fileBytesMax: number
  /** Lines that every file has to have at its beginning. */
  readonly carry: () => readonly string[]
  /** Told of lines that the disk did not take. */
  readonly onLost: (lines: readonly string[]) => void
}

interface Segment {
  readonly path: string
  readonly fd: number
  written: number
  /** Bytes that were dropped. */
  dropped: number
  reader: FileHandle | null
}

/** Keeps lines in files. They are written before the event loop turns, and so before anything else that the process then
 * sends: one that is killed loses nothing. They are on the disk a moment later: a machine that loses its power loses
 * little. */
export function createFileSpool(options: FileSpoolOptions): Spool {
  mkdirSync(options.folder, { recursive: true, mode: 0o700 })
  const segments: Segment[] = []
  let made = 0
  let bytes = 0
  let waiting: string[] = []
  let syncing: ReturnType<typeof setTimeout> | null = null
  /** The lengths of the lines that were read last, with their ends. */
  let lengths: number[] = []

  function begin(): Segment {
    const path = join(options.folder, `${options.name}.${++made}.spool`)
    const segment = { path, fd: openSync(path, 'a', 0o600), written: 0, dropped: 0, reader: null }
    segments.push(segment)
    const carried = options.carry()
    if (carried.length > 0) write(segment, `${carried.join('\n')}\n`)
    return segment
  }

  function write(segment: Segment, text: string): void {
    const written = writeSync(segment.fd, text)
    segment.written += written
    bytes += written
    syncing ??= setTimeout(flushed, SYNC_MS)
  }

  function flushed(): void {
    syncing = null
    // A file that is removed meanwhile needs no place on the disk.
    for (const { fd } of segments) sync(fd).catch(() => {})
  }

  function flush(): void {
    if (waiting.length === 0) return
    const lines = waiting
    waiting = []
    try {
      const last = segments.at(-1)
      write(last === undefined || last.written >= options.fileBytesMax ? begin() : last, `${lines.join('\n')}\n`)
    } catch {
      // A full disk must not end the process.
      options.onLost(lines)
    }
  }

  async function remove(segment: Segment): Promise<void> {
    segments.splice(segments.indexOf(segment), 1)
    bytes -= segment.written
    closeSync(segment.fd)
    await segment.reader?.close()
    unlinkSync(segment.path)
  }

  return {
    append(line) {
      if (bytes >= options.bytesMax) return false
      if (waiting.push(line) === 1) queueMicrotask(flush)
      return true
    },
    async peek(max) {
      flush()
      lengths = []
      for (const segment of [...segments]) {
        if (segment.dropped >= segment.written) continue
        const lines = await readLines(segment, max)
        lengths = lines.map(line => Buffer.byteLength(line) + 1)
        return lines
      }
      return []
    },
    async drop(count) {
      const segment = segments.find(({ dropped, written }) => dropped < written)
      if (segment === undefined) return
      for (const length of lengths.splice(0, count)) segment.dropped += length
      // The last one is still written to.
      for (const each of segments.slice(0, -1)) if (each.dropped >= each.written) await remove(each)
    },
    async close() {
      flush()
      if (syncing !== null) clearTimeout(syncing)
      const carried = options.carry().length > 0
      for (const segment of [...segments]) {
        const isDone = segment.dropped >= segment.written && !carried
        if (isDone) await remove(segment)
        else {
          await sync(segment.fd)
          closeSync(segment.fd)
          await segment.reader?.close()
        }
      }
    },
  }
}

async function readLines(segment: Segment, max: number): Promise<string[]> {
  segment.reader ??= await open(segment.path, 'r')
  let size = Math.min(READ_BYTES, segment.written - segment.dropped)
  while (true) {
    const buffer = Buffer.allocUnsafe(size)
    const { bytesRead } = await segment.reader.read(buffer, 0, size, segment.dropped)
    const end = buffer.subarray(0, bytesRead).lastIndexOf(NEWLINE)
    const rest = segment.written - segment.dropped
    // A line may be longer than what was read.
    if (end < 0 && size < rest) {
      size = Math.min(size * 2, rest)
      continue
    }
    return end < 0 ? [] : buffer.toString('utf8', 0, end).split('\n').slice(0, max)
  }
}
