import { bar, type Figure, line, words } from './draw.ts'

/** The moments that the table of clocks names: where they stand, and in which of two lines their names do. */
const MOMENTS = [
  { names: ['the call'], x: 18, label: 'call', y: 16 },
  { names: ['a free place at a server', 'the attempt'], x: 84, label: 'place', y: 32 },
  { names: ['the connection', 'the request sent'], x: 148, label: 'connection', y: 16 },
  { names: ['the head of the answer'], x: 216, label: 'head', y: 32 },
  { names: ['the first content of a stream'], x: 284, label: 'first content', y: 16 },
  { names: ['one piece of a stream'], x: 348, label: 'a piece', y: 32 },
  { names: ['the next piece'], x: 398, label: 'the next', y: 16 },
  { names: ['the end of the answer, over all attempts'], x: 440, label: 'end', y: 32 },
] as const
const FIRST_ROW = 58
const ROW = 28

/** Draws the table of clocks in the guide: from which moment to which each of them runs. Not to scale. */
export function drawClocks(guide: string): Figure {
  const [, table = ''] = guide.split('\n## Clocks\n')
  const rows = [...table.matchAll(/^\| `(\w+)` +\| `(\w+)` +\| ([^|]+?) +\| ([^|]+?) +\| `/gm)]
  return {
    title: 'Which clock runs from when to when',
    drawn: [
      ...MOMENTS.flatMap(({ x, label, y }) => [
        words(x, y, label, x > 420 ? 'small end' : x < 40 ? 'small' : 'small middle'),
        line('grid', [
          [x, y + 4],
          [x, FIRST_ROW + ROW * rows.length - 16],
        ]),
      ]),
      ...rows.flatMap(([, name = '', duration = '', from = '', to = ''], at) => {
        const y = FIRST_ROW + ROW * at
        return [words(placeOf(from) + 4, y, `${name} ${duration}`), bar('full', [placeOf(from), placeOf(to)], y + 4, 6)]
      }),
    ],
  }
}

function placeOf(moment: string): number {
  const found = MOMENTS.find(({ names }) => names.some(name => name === moment))
  if (found === undefined) throw new Error(`The picture of the clocks has no place for "${moment}".`)
  return found.x
}
