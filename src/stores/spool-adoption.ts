import { createReadStream } from 'node:fs'
import { readdir, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { Clock } from '#core/clock.ts'
import { sha256 } from '#lib/hash.ts'
import { createLineSplitter } from '#lib/lines.ts'
import { hasEnded } from './has-ended.ts'

/** How often a process says that its files are its own, and after which silence they are nobody's; in milliseconds. */
export const TOUCH_MS = 20_000
export const SILENT_MS = 90_000
/** Enough to tell the processes of a machine apart. */
const HASH_DIGITS = 16

/** Names the files of this process: where it runs, what its number is, and which start of it this is. */
export function spoolName(chain: string): string {
  return `${hostname().replace(/[^\w-]/g, '_')}.${process.pid}.${chain}`
}

/** Says that the files of this process are its own. */
export async function touchSpool(folder: string, name: string, now: number): Promise<void> {
  const mine = (await readdir(folder).catch(() => [])).filter(file => file.startsWith(`${name}.`))
  await Promise.all(mine.map(file => touch(join(folder, file), now)))
}

async function touch(path: string, now: number): Promise<void> {
  const time = new Date(now)
  await utimes(path, time, time).catch(() => {})
}

/** Who takes over, where, and when. */
interface Adoption {
  readonly folder: string
  readonly name: string
  readonly clock: Pick<Clock, 'now' | 'time'>
  readonly sightings: Sightings
}

/** When the files of each process were last touched, by its clock, and since when they have stayed so, by ours. The two are
 * never compared: a clock that is set forward would make every process that lives look dead. */
export type Sightings = Map<string, { readonly touchedAt: number; readonly since: number }>

/** What may be done at once, or later. */
type Done = void | Promise<void>

/** Takes over what processes that have ended have left behind, one process after the other.
 *
 * @param take Told every line in its order, between `begin` and `end` those of one process. What it throws, and what
 * cannot be read, is there the next time, and keeps nobody from the others.
 * @throws Error of the first process that was not taken over. */
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
    const left = files.filter(file => ownerOf(file) === owner).sort((a, b) => numberOf(a) - numberOf(b))
    if (!(await isLeft(owner, left, adoption))) continue
    try {
      // Before anything is claimed: where there is no room it is left to others, who may have some.
      await take.begin()
      const claimed = await alone(join(folder, `${owner}.claim`), clock.time(), () => claim(left, adoption))
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

/** Reads a file line by line; not by the runtime's lines, which end at signs that may stand in a row.
 *
 * @param goesOn Called now and then while it goes on, which may take minutes. */
async function readLines(path: string, take: (line: string) => Done, goesOn: () => Promise<void>): Promise<void> {
  const lines = createLineSplitter(Infinity)
  for await (const text of createReadStream(path, 'utf8')) {
    // Most are taken at once.
    for (const line of lines.push(text)) await take(line)
    await goesOn()
  }
  for (const line of lines.end()) await take(line)
}

/** `host.pid.chain` of `host.pid.chain.number.spool`, and of what was claimed and not finished. */
function ownerOf(file: string): string {
  return file.split('.').slice(0, -2).join('.')
}

function numberOf(file: string): number {
  return Number(file.split('.').at(-2))
}

async function isLeft(
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

/** A number of this process with another start is one that was used again, as containers do. */
function isAlive(pid: number): boolean {
  return pid !== process.pid && !hasEnded(pid)
}

/** Does what only one process at a time may do: of two who each took a part of the same files, one would miss how
 * requests ended whose beginnings it has. */
async function alone(lock: string, now: number, run: () => Promise<string[]>): Promise<readonly string[]> {
  try {
    await writeFile(lock, '', { flag: 'wx', mode: 0o600 })
  } catch {
    // Whoever made it may have died.
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

/** Makes files this process's own, under names by which they are read first when it dies too; others may be quicker.
 * However often that is tried, the names grow no longer, and nobody takes them for left behind meanwhile. */
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
