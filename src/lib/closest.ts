// Both lengths are bounded because names also come from requests, and the work grows with their product.
const lengthMax = 64
/** Two names are of one stem if they begin with as many equal letters, and those are so much of the shorter one. */
const STEM_MIN = 4
const STEM_SHARE = 0.75

/** Finds the candidates that a misspelt name most likely meant, best first.
 *
 * @param limit How many to give at most.
 * @returns Nothing when no candidate is near. */
export function closest(name: string, candidates: Iterable<string>, limit = 3): string[] {
  const wanted = normalise(name)
  if (wanted === '') return []
  const near: { candidate: string; score: number; alike: number }[] = []
  for (const candidate of candidates) {
    const normal = normalise(candidate)
    const score = distance(wanted, normal)
    if (score !== null) near.push({ candidate, score, alike: commonStart(wanted, normal) })
  }
  near.sort((a, b) => a.score - b.score || b.alike - a.alike || (a.candidate < b.candidate ? -1 : 1))
  return near.slice(0, limit).map(each => each.candidate)
}

/** Ends a message with the nearest known name, or with nothing. */
export function didYouMean(name: string, candidates: Iterable<string>): string {
  const [best] = closest(name, candidates, 1)
  return best === undefined ? '' : `, did you mean "${best}"?`
}

function distance(wanted: string, candidate: string): number | null {
  const longer = Math.max(wanted.length, candidate.length)
  // In names of one or two letters every other name would be near.
  const allowed = Math.floor(longer / 3)
  if (wanted === candidate) return 0
  // "mixtral" means "mixtral-8x7b", although it takes many edits; only what is one slip away comes before that.
  const shorter = Math.min(wanted.length, candidate.length)
  const contained = shorter >= 3 && (candidate.includes(wanted) || wanted.includes(candidate))
  if (contained) return 1 + (longer - shorter) / lengthMax
  const edits = longer - shorter > allowed ? null : editDistance(wanted, candidate)
  if (edits !== null && edits <= allowed) return edits
  // "retries" means "retry": words of one stem differ in their ends.
  const start = commonStart(wanted, candidate)
  return start >= STEM_MIN && start >= shorter * STEM_SHARE ? longer : null
}

function commonStart(a: string, b: string): number {
  let at = 0
  while (at < a.length && a[at] === b[at]) at++
  return at
}

/** Counts insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
function editDistance(a: string, b: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let row = 1; row <= a.length; row++) {
    const current = [row]
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1]
      let edits = Math.min(at(last, column) + 1, at(current, column - 1) + 1, at(last, column - 1) + (same ? 0 : 1))
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      if (swapped) edits = Math.min(edits, at(beforeLast, column - 2) + 1)
      current.push(edits)
    }
    beforeLast = last
    last = current
  }
  return at(last, b.length)
}

function at(row: readonly number[], column: number): number {
  return row[column] ?? Number.POSITIVE_INFINITY
}

function normalise(name: string): string {
  return name.slice(0, lengthMax).toLowerCase()
}
