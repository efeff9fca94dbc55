/** One event of a server-sent event stream. */
export interface SseEvent {
  /** The `event:` field; empty when there is none. */
  readonly name: string
  /** The `data:` lines joined by a line feed. */
  readonly data: string
}

/** The longest event that is accepted, in characters: a server that never ends a line must not fill the memory. A
 * picture arrives whole in one event of some million characters. */
const EVENT_CHARACTERS_MAX = 16 * 1024 * 1024
/** How many pieces of one line may wait before they are joined: `PIECES_MIN`, or in a long line one for each
 * `CHARACTERS_A_PIECE` characters. Searching the whole line again for each piece would take minutes for a long line
 * that arrives byte by byte, and each piece that waits costs some memory. */
const PIECES_MIN = 256
const CHARACTERS_A_PIECE = 1024

export class SseOverflow extends Error {
  constructor() {
    super(`an event is longer than ${EVENT_CHARACTERS_MAX} characters`)
    this.name = 'SseOverflow'
  }
}

/** Reads an event stream as it comes. */
export interface SseParser {
  push(text: string): SseEvent[]
  end(): SseEvent[]
  /** Whether the last event has ended and no other one has begun. */
  readonly between: boolean
}

/** Creates a parser of event streams (WHATWG HTML §9.2.6): any split of the text, LF, CR LF or CR, comments dropped.
 *
 * Events without data are not reported; what `end()` finds unfinished is reported too, because servers that close
 * right behind their last event without a blank line exist. So is JSON that stands between events without a field
 * before it: Google's servers break off with an error in that form.
 *
 * @throws SseOverflow when one event grows past its bound. */
export function createSseParser(): SseParser {
  let rest = ''
  let first = true
  let name = ''
  let data: string[] = []
  let bare = false
  let size = 0
  let pieces = 0
  /** Whether the rest ends with a CR, which may be a line end by itself. */
  let returned = false

  function line(text: string, events: SseEvent[]): void {
    if (text === '') {
      if (data.length > 0) events.push({ name, data: data.length === 1 ? (data[0] ?? '') : data.join('\n') })
      name = ''
      data = []
      bare = false
      size = 0
      return
    }
    size += text.length
    if (text.startsWith('data:')) data.push(text.slice(text.charCodeAt(5) === 32 ? 6 : 5))
    else if (text.startsWith('event:')) name = text.slice(text.charCodeAt(6) === 32 ? 7 : 6)
    else if (text === 'data') data.push('')
    else if (bare || (data.length === 0 && (text.startsWith('{') || text.startsWith('[')))) {
      bare = true
      data.push(text)
    }
  }

  function push(text: string): SseEvent[] {
    const events: SseEvent[] = []
    const room = Math.max(PIECES_MIN, rest.length / CHARACTERS_A_PIECE)
    if (rest !== '' && !returned && pieces < room && !text.includes('\n') && !text.includes('\r')) {
      rest += text
      pieces++
      bound()
      return events
    }
    pieces = 0
    let all = rest === '' ? text : rest + text
    if (first && all !== '') {
      first = false
      if (all.charCodeAt(0) === 0xfeff) all = all.slice(1)
    }
    let from = 0
    const hasReturn = all.includes('\r')
    while (from < all.length) {
      const end = hasReturn ? endOfLine(all, from) : all.indexOf('\n', from)
      if (end < 0) break
      line(all.slice(from, end), events)
      from = end + (all.charCodeAt(end) === 13 && all.charCodeAt(end + 1) === 10 ? 2 : 1)
    }
    rest = from === 0 ? all : all.slice(from)
    returned = hasReturn && rest.endsWith('\r')
    bound()
    return events
  }

  function bound(): void {
    if (rest.length + size > EVENT_CHARACTERS_MAX) throw new SseOverflow()
  }

  function end(): SseEvent[] {
    const events: SseEvent[] = []
    if (rest !== '') line(rest.replace(/\r$/, ''), events)
    line('', events)
    return events
  }

  return {
    push,
    end,
    get between() {
      return rest === '' && size === 0
    },
  }
}

/** The end of the line that starts at `from`; -1 while it may still grow (a CR at the very end may precede an LF). */
function endOfLine(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 10) return at
    if (code === 13) return at + 1 < text.length ? at : -1
  }
  return -1
}

/** Writes one event that has only data. */
export function writeSse(data: string): string {
  return `data: ${data}\n\n`
}
