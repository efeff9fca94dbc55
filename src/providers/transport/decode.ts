import { pipeline, Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { GatewayError } from '#core/errors.ts'
import type { Head } from '../provider.ts'
import type { Incoming } from '../transport.ts'
import { invalidAnswer } from '../upstream-error.ts'
import { collect, type Watch } from './collect.ts'

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

/** Finds the decoder for a `content-encoding`. The gateway asks for no compression, but some servers compress all the
 * same.
 *
 * @throws GatewayError `upstream_invalid_response` for an unknown encoding. */
export function decoderFor(encoding: string): Transform {
  const create = Object.hasOwn(DECODERS, encoding) ? DECODERS[encoding] : undefined
  if (create === undefined) throw invalidAnswer(`content-encoding ${encoding}`)
  return create()
}

/** A compressed answer as it reads. It is decoded only as fast as it is read, so that a small body that becomes a
 * huge one takes no memory. */
export class Decoded implements Incoming {
  readonly head: Head
  private readonly inner: Incoming
  private readonly decoder: Transform
  private readonly watch: (bytesMax: number) => Watch
  private readonly pieces: AsyncIterator<Uint8Array>
  private failure: GatewayError | null = null

  constructor(inner: Incoming, decoder: Transform, watch: (bytesMax: number) => Watch) {
    this.head = inner.head
    this.inner = inner
    this.decoder = decoder
    this.watch = watch
    this.pieces = decoder[Symbol.asyncIterator]()
    // Whatever goes wrong reaches the reader through the decoder.
    pipeline(Readable.from(piecesOf(inner)), decoder, () => {})
  }

  async read(): Promise<Uint8Array | null> {
    if (this.failure !== null) throw this.failure
    try {
      const next = await this.pieces.next()
      return next.done === true ? null : next.value
    } catch (thrown) {
      this.inner.close()
      this.failure = thrown instanceof GatewayError ? thrown : invalidAnswer('a compressed body', String(thrown))
      throw this.failure
    }
  }

  text(bytesMax: number): Promise<string> {
    return collect(this, this.watch(bytesMax))
  }

  close(): void {
    this.inner.close()
    this.decoder.destroy()
  }
}

async function* piecesOf(inner: Incoming): AsyncGenerator<Uint8Array> {
  for (let piece = await inner.read(); piece !== null; piece = await inner.read()) yield piece
}
