import type { Head } from '../provider.ts'
import { withoutBlanks } from './bytes.ts'

/** The head of an answer. A header is searched only when it is asked for, because most never are. */
export class ResponseHead implements Head {
  readonly status: number
  /** The header lines, each with its CRLF. */
  private readonly lines: string

  constructor(status: number, lines: string) {
    this.status = status
    this.lines = lines
  }

  /** Made when it is asked for, so that it may be taken along without the head. */
  get header(): (name: string) => string | null {
    const { lines } = this
    return name => valueIn(lines, name)
  }
}

function valueIn(lines: string, name: string): string | null {
  let found: string | null = null
  for (let at = 0; at < lines.length; ) {
    const end = lines.indexOf('\r\n', at)
    const colon = lines.indexOf(':', at)
    if (colon - at === name.length && lines.slice(at, colon).toLowerCase() === name) {
      const value = withoutBlanks(lines.slice(colon + 1, end))
      found = found === null ? value : `${found}, ${value}`
    }
    at = end + 2
  }
  return found
}
