/** Where an answer is written to; the runtime's own, for a stream of its type `direct`. */
export interface Writer {
  /** Takes it in any case.
   *
   * @returns A promise where the client has to take what is there first; it resolves once that is taken. */
  write(piece: string | Uint8Array): number | Promise<number>
  /** Lets what was written go. */
  flush(): number | Promise<number>
  /** Ends what was written, whole; what the client has still to take is sent on. */
  end(): number | Promise<number>
}

/** An answer that is written piece by piece as it comes. */
export interface Writing {
  /** Writes it to its end; called once.
   *
   * @throws when it is to be cut off, so that it does not look whole. */
  write(to: Writer): Promise<void>
  /** The client has left. */
  cancel(): void
}
