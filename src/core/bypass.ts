/** The fields of a delta that are plain text. */
export type TextField = 'content' | 'reasoning_content' | 'reasoning' | 'refusal'

/** Events of one stream that are like those before them in all but what they say. */
export interface Said {
  /** The events as the caller gets them. */
  readonly written: string
  readonly events: number
  /** The index of the choice that says it. */
  readonly choice: number
  readonly field: TextField
  /** All that the events say, never empty. */
  readonly text: string
  /** When they came, in monotonic milliseconds. */
  readonly at: number
}

/** Takes events at once, in place of the frames that somebody waits for.
 *
 * @returns False when it cannot take them now; they then come as frames. */
export type Bypass = (said: Said) => boolean
