/** One label of a metric. Its values are numbered, so that a series is found by arithmetic and not by comparing text. */
export interface Dimension {
  readonly label: string
  /** The number of a value is from 0 to below this. */
  readonly size: number
  text(id: number): string
}

/** A label whose values are names. Number 0 is `other`: names that are not accepted, or that came when it was full. */
export interface Names extends Dimension {
  id(name: string): number
}

/** What stands for a value that is not one of the known ones. */
export const OTHER = 'other'
/** What stands for no value. */
export const NONE = 'none'

/** Creates a label that gives each new value the next number.
 *
 * @param accepts Whether a value may become a label: only names of the configuration may, never a caller's words. */
export function createNames(label: string, size: number, accepts: (name: string) => boolean = () => true): Names {
  const ids = new Map<string, number>()
  const texts = [OTHER]

  function learn(name: string): number {
    if (texts.length >= size || (name !== NONE && !accepts(name))) return 0
    ids.set(name, texts.length)
    return texts.push(name) - 1
  }

  return {
    label,
    size,
    id: name => ids.get(name) ?? learn(name),
    text: id => texts[id] ?? OTHER,
  }
}

/** The HTTP status as a label: the status is its own number. */
export const STATUS: Dimension = { label: 'status', size: 1000, text: id => (id === 0 ? OTHER : String(id)) }

/** `true` or `false` as a label: 1 and 0. */
export function createFlag(label: string): Dimension {
  return { label, size: 2, text: id => (id === 1 ? 'true' : 'false') }
}
