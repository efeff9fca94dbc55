import { createReadStream } from 'node:fs'
import { readdir, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '#core/clock.ts'
import { sha256 } from '#lib/hash.ts'
import { createLineSplitter } from '#lib/lines.ts'
import { hasEnded } from './has-ended.ts'

/** How often a process touches its files, and after how long without a touch they count as abandoned, in milliseconds. */
export const TOUCH_MS = 20_000
export const SILENT_MS = 90_000
/** How many digits of a hash distinguish the processes whose files were taken over. */
const HASH_DIGITS = 16

/** Makes the prefix of this process's files: host name, process id, and the id of its audit chain, new at each start. */
export function spoolName(chain: string): string {
  return `${hostname().replace(/[^\w-]/g, '_')}.${process.pid}.${chain}`
}

/** Touches the files of this process, so that no other process takes them over. Never fails. */
export async function touchSpool(folder: string, name: string, now: number): Promise<void> {
  const mine = (await readdir(folder).catch(() => [])).filter(file => file.startsWith(`${name}.`))
  await Promise.all(mine.map(file => touch(join(folder, file), now)))
}

async function touch(path: string, now: number): Promise<void> {
  const time = new Date(now)
  await utimes(path, time, time).catch(() => {})
}

/** What taking over needs: the folder, this process's prefix, and what was seen of other processes before. */
interface Adoption {
  readonly folder: string
  readonly name: string
  readonly clock: Pick<Clock, 'now' | 'time'>
  readonly sightings: Sightings
}

/** For each process, when its files were last touched (epoch, by its clock), and since when this has not changed (monotonic,
 * by ours). The two are never compared: with a clock that was set forward, every living process would look dead. */
export type Sightings = Map<string, { readonly touchedAt: number; readonly since: number }>

/** The result of a callback that may be synchronous. */
type Done = void | Promise<void>

/** Takes over the spool files of processes that have ended, one process after the other.
 *
 * @param take Called with every line in order; `begin` and `end` enclose the lines of one process. If it throws, or a file
 * cannot be read, the files of that process are tried again next time, and the other processes are still taken over.
 * @throws The first such error, at the end. */
export async function adoptSpools(
  adoption: Adoption,
  take: { begin(): Done; line(line: string): Done; end(): Done },
): Promise<void> {
  const { folder, name, clock, sightings } = adoption
  const failures: unknown[] = []
  const files = (await readdir(folder).catch(() => [])).filter(file => file.endsWith('.spool'))
  const owners = [...new Set(files.map(ownerOf))].filter(owner => owner !== ownerOf(`${name}.0.spool`))
  for (const owner of sightings.keys()) if (!owners.includes(owner)) sightings.delete(owner)
  for (const owner of owners.sort()) {
    const abandoned = files.filter(file => ownerOf(file) === owner).sort((a, b) => numberOf(a) - numberOf(b))
    if (!(await isAbandoned(owner, abandoned, adoption))) continue
    try {
      // Before files are claimed: if this process has no room for them, another one may.
      await take.begin()
      const claimed = await withLock(join(folder, `${owner}.claim`), clock.time(), () => claim(abandoned, adoption))
      if (claimed.length === 0) continue
      for (const path of claimed) await readLines(path, take.line, () => touch(path, clock.time()))
      await take.end()
      await Promise.all(claimed.map(path => unlink(path)))
    } catch (thrown) {
      failures.push(thrown)
    }
  }
  if (failures.length > 0) throw failures[0]
}

/** Reads a file line by line. The runtime's own line reader also splits at characters such as U+2028, which rows may
 * contain.
 *
 * @param onProgress Called after each piece, since a large file may take minutes. */
async function readLines(path: string, take: (line: string) => Done, onProgress: () => Promise<void>): Promise<void> {
  const lines = createLineSplitter(Infinity)
  for await (const text of createReadStream(path, 'utf8')) {
    // Mostly synchronous: `take` rarely returns a promise.
    for (const line of lines.push(text)) await take(line)
    await onProgress()
  }
  for (const line of lines.end()) await take(line)
}

/** The prefix `host.pid.chain` of the file `host.pid.chain.number.spool`; claimed files have it too. */
function ownerOf(file: string): string {
  return file.split('.').slice(0, -2).join('.')
}

function numberOf(file: string): number {
  return Number(file.split('.').at(-2))
}

async function isAbandoned(
  owner: string,
  files: readonly string[],
  { folder, clock, sightings }: Adoption,
): Promise<boolean> {
  const [host, pid] = owner.split('.')
  if (host === spoolName('').split('.')[0] && !isAlive(Number(pid))) return true
  const times = await Promise.all(
    files.map(file =>
      stat(join(folder, file)).then(
        ({ mtimeMs }) => mtimeMs,
        () => clock.time(),
      ),
    ),
  )
  const touchedAt = Math.max(...times)
  const seen = sightings.get(owner)
  if (seen?.touchedAt === touchedAt) return clock.now() - seen.since > SILENT_MS
  sightings.set(owner, { touchedAt, since: clock.now() })
  return false
}

/** Whether a process with this id runs. The own id under another prefix was reused, as in containers, where it is always
 * the same: its former process has ended. */
function isAlive(pid: number): boolean {
  return pid !== process.pid && !hasEnded(pid)
}

/** Runs something while holding a lock file; returns nothing when another process holds it. If two processes each claimed a
 * part of the same files, one would have the start of a request, and the other its end. */
async function withLock(lock: string, now: number, run: () => Promise<string[]>): Promise<readonly string[]> {
  try {
    await writeFile(lock, '', { flag: 'wx', mode: 0o600 })
  } catch {
    // The process that holds the lock may have died: remove an old lock, for the next try.
    const made = await stat(lock).catch(() => null)
    if (made !== null && made.mtimeMs < now - SILENT_MS) await unlink(lock).catch(() => {})
    return []
  }
  try {
    return await run()
  } finally {
    await unlink(lock)
  }
}

/** Renames files to this process, and returns those that it got. Their new names sort before its own files, so that they
 * are read first if this process dies too, and do not grow however often files change hands. They are touched, so that no
 * other process takes them for abandoned meanwhile. */
async function claim(files: readonly string[], { folder, name, clock }: Adoption): Promise<string[]> {
  const claimed: string[] = []
  for (const [index, file] of files.entries()) {
    const path = join(folder, `${name}-${sha256(ownerOf(file)).slice(0, HASH_DIGITS)}.${index}.spool`)
    const isMine = await rename(join(folder, file), path).then(
      () => true,
      () => false,
    )
    if (!isMine) continue
    await touch(path, clock.time())
    claimed.push(path)
  }
  return claimed
}
