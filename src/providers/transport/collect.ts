import type { Clock } from '#core/clock.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Incoming } from '../transport.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { fellSilent } from './errors.ts'
import { Gathered } from './gather.ts'

const FIRST_OF_MARK = 0xef

/** The limits under which a body is read. */
export interface Watch {
  readonly bytesMax: number
  readonly clock: Clock
  readonly idleMs: number
  /** Ends the answer; the read that waits then fails with this. */
  fail(error: GatewayError): void
}

/** Reads a body to its end, as text.
 *
 * @throws GatewayError `upstream_invalid_response` past the limit, `upstream_idle_timeout` after a silence. */
export async function collect(source: Pick<Incoming, 'read' | 'close'>, watch: Watch): Promise<string> {
  const { bytesMax, clock, idleMs } = watch
  const gathered = new Gathered()
  let heardAt = clock.now()
  let disarm = arm(idleMs)

  function arm(ms: number): () => void {
    return clock.after(ms, () => {
      const quiet = clock.now() - heardAt
      if (quiet < idleMs) disarm = arm(idleMs - quiet)
      else watch.fail(fellSilent())
    })
  }

  try {
    for (let piece = await source.read(); piece !== null; piece = await source.read()) {
      heardAt = clock.now()
      gathered.add(piece)
      if (gathered.total > bytesMax) throw invalidAnswer(`body over ${bytesMax} bytes`)
    }
    return textOf(gathered.whole())
  } catch (thrown) {
    source.close()
    throw thrown
  } finally {
    disarm()
  }
}

/** Decodes UTF-8; a byte order mark is no part of the text. */
export function textOf(bytes: Buffer, start = 0, end = bytes.length): string {
  if (bytes[start] === FIRST_OF_MARK) return new TextDecoder().decode(bytes.subarray(start, end))
  return bytes.toString('utf8', start, end)
}
