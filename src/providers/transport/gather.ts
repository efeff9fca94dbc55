/** A usual answer comes in fewer pieces. Of more, the small ones are put together: each costs many times its bytes. */
const PIECES_MAX = 16
const SMALL_BYTES = 1024
const ROOM_BYTES = 16 * 1024

/** Gathers the pieces of a body. */
export class Gathered {
  total = 0
  private readonly pieces: Uint8Array[] = []
  private room = Buffer.alloc(0)
  private from = 0
  private used = 0

  add(piece: Uint8Array): void {
    this.total += piece.length
    if (this.pieces.length < PIECES_MAX || piece.length > SMALL_BYTES) {
      this.putDown()
      this.pieces.push(piece)
      return
    }
    if (this.room.length - this.used < piece.length) {
      this.putDown()
      this.room = Buffer.allocUnsafeSlow(ROOM_BYTES)
      this.from = 0
      this.used = 0
    }
    this.room.set(piece, this.used)
    this.used += piece.length
  }

  /** All of it in one. */
  whole(): Buffer {
    this.putDown()
    return Buffer.concat(this.pieces, this.total)
  }

  private putDown(): void {
    if (this.used > this.from) this.pieces.push(this.room.subarray(this.from, this.used))
    this.from = this.used
  }
}
