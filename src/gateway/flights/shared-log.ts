import type { Live } from '#core/attempt.ts'
import type { Said } from '#core/bypass.ts'
import { GatewayError } from '#core/errors.ts'
import { contentLength, type Frame } from '#core/frame.ts'
import type { RequestRecord } from '#core/record.ts'
import type { Usage } from '#core/usage.ts'
import { PIECE_CHARACTERS, SaidEvents } from './said-events.ts'

/** How a flight is shared by several who ask the same. */
export interface Sharing {
  /** How many characters of frames are kept for requests that join late or read slowly. */
  readonly charactersMax: number
  /** The clock, if the time of each frame is needed; monotonic milliseconds. */
  readonly now?: (() => number) | undefined
  /** Told once how the work ended: with the answer when it came to its end within that, else `null`. */
  readonly onOver: (whole: Whole | null) => void
}

/** A whole answer, who gave it, and when each of its events came but the count (empty where that does not matter).
 * A frame may hold several events that only said more. */
export interface Whole extends Pick<Live, 'target' | 'model'> {
  readonly frames: readonly Frame[]
  readonly moments: readonly number[]
}

type Piece = readonly Frame[] | SaidEvents

/** What a flight has brought so far: the same pieces for all of its readers. Past `charactersMax` the oldest pieces are
 * dropped, and a reader that still needed them fails. A class and no closures, because one is made for each streamed call
 * while the cache is on. */
export class SharedLog {
  private readonly sharing: Sharing
  private readonly pieces: Piece[] = []
  private readonly moments: number[] = []
  /** The number of characters that may still be kept. */
  private room: number
  /** The number of pieces that were dropped from the beginning. */
  private forgotten = 0
  /** Whether nothing more follows: after the end, or an error. */
  ended = false
  /** The latest token count of the server for the whole answer, and for what it had sent until then. */
  usage: Usage | null = null
  soFar: Usage | null = null
  private broken: unknown = null
  private bytes: WeakMap<readonly Frame[], Uint8Array> | null = null

  constructor(sharing: Sharing) {
    this.sharing = sharing
    this.room = sharing.charactersMax
  }

  /** Whether a request that joins now still gets everything from the beginning. */
  get open(): boolean {
    return !this.ended && this.forgotten === 0
  }

  /** The bytes of each piece, once the first reader has written it. */
  get encoded(): WeakMap<readonly Frame[], Uint8Array> {
    this.bytes ??= new WeakMap()
    return this.bytes
  }

  /** The number of pieces so far, including dropped ones. */
  get length(): number {
    return this.forgotten + this.pieces.length
  }

  add(frames: readonly Frame[]): void {
    const before = this.pieces.length
    if (frames.length > 1) this.pieces.push(...inPieces(frames))
    else this.pieces.push(frames)
    this.bound(charactersOf(frames), this.pieces.length - before)
    const { now } = this.sharing
    for (const frame of frames) {
      if (now !== undefined && frame.kind !== 'usage') this.moments.push(now())
      if (frame.kind === 'error') this.end(null)
      else {
        this.usage = frame.usage ?? this.usage
        this.soFar = frame.soFar ?? this.soFar
      }
    }
  }

  /** Adds events that bypassed the frames. */
  addSaid(said: Said): void {
    const last = this.pieces.at(-1)
    const piece = last instanceof SaidEvents && last.fits(said) ? last : new SaidEvents(said)
    if (piece !== last) this.pieces.push(piece)
    this.bound(piece.add(said), 1)
    if (this.sharing.now !== undefined) for (let event = 0; event < said.events; event++) this.moments.push(said.at)
  }

  /** Forgets what is over the bound, but for the last pieces.
   *
   * @param added Characters that have come. */
  private bound(added: number, last: number): void {
    this.room -= added
    while (this.room < 0 && this.pieces.length > last) {
      this.room += charactersOf(framesOf(this.pieces.splice(0, 1)))
      this.forgotten++
    }
  }

  /** The piece at a position; `null` when it is still to come.
   *
   * @throws what the work failed with, or GatewayError `stream_interrupted` when the reader is too far behind. */
  at(position: number): readonly Frame[] | null {
    if (position < this.forgotten) throw tooSlow()
    const piece = this.pieces[position - this.forgotten]
    if (piece === undefined && this.broken !== null) throw this.broken
    if (!(piece instanceof SaidEvents)) return piece ?? null
    const { frames } = piece
    this.pieces[position - this.forgotten] = frames
    return frames
  }

  /** Ends the log: with whoever gave the answer when it is whole, with `null` when it never will be. */
  end(giver: Pick<Live, 'target' | 'model'> | null): void {
    if (this.ended) return
    this.ended = true
    if (giver === null || this.forgotten > 0) this.sharing.onOver(null)
    else {
      const { target, model } = giver
      this.sharing.onOver({ target, model, frames: framesOf(this.pieces), moments: this.moments })
    }
  }

  /** Writes everything that was generated into the record of the request that pays; others may have read more of it. */
  charge(record: RequestRecord): void {
    let characters = 0
    for (const frame of framesOf(this.pieces)) if (frame.kind !== 'error') characters += contentLength(frame.chunk)
    record.usage = this.usage
    record.soFar = this.soFar
    record.saidChars = characters
  }

  fail(thrown: unknown): void {
    this.broken = thrown
    this.end(null)
  }
}

/** Joins all frames into one list. Written out, because `flat` is slower. */
function framesOf(pieces: readonly Piece[]): readonly Frame[] {
  const all: Frame[] = []
  for (const piece of pieces) {
    if (piece instanceof SaidEvents) all.push(piece.whole)
    else for (const frame of piece) all.push(frame)
  }
  return all
}

function charactersOf(frames: readonly Frame[]): number {
  let characters = 0
  for (const frame of frames) if (frame.kind !== 'error') characters += frame.text.length
  return characters
}

function inPieces(frames: readonly Frame[]): readonly (readonly Frame[])[] {
  const pieces: Frame[][] = []
  let characters = Infinity
  for (const frame of frames) {
    const length = frame.kind === 'error' ? 0 : frame.text.length
    characters += length
    if (characters > PIECE_CHARACTERS) {
      pieces.push([])
      characters = length
    }
    pieces.at(-1)?.push(frame)
  }
  return pieces
}

function tooSlow(): GatewayError {
  return new GatewayError('stream_interrupted', 'This answer is shared, and was read too slowly to be kept for longer.')
}
