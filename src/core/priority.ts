/** How soon a call gets a place where there are too few, the least first. */
export const PRIORITIES = ['low', 'normal', 'high', 'critical'] as const

export type Priority = (typeof PRIORITIES)[number]

/** What holds for a call that says nothing, and the best that an anonymous caller can have. */
export const USUAL_PRIORITY: Priority = 'normal'

const RANK: Readonly<Record<Priority, number>> = { low: 0, normal: 1, high: 2, critical: 3 }

/** A number that is greater for what is served sooner, from 0. */
export function rankOf(priority: Priority): number {
  return RANK[priority]
}

/** Whether a text names a priority. */
export function isPriority(text: string): text is Priority {
  return Object.hasOwn(RANK, text)
}

/** The wished priority, or the ceiling where that is less. */
export function upTo(ceiling: Priority, wished: Priority = USUAL_PRIORITY): Priority {
  return RANK[wished] > RANK[ceiling] ? ceiling : wished
}
