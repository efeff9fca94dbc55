/** What the pictures of the guides have in common: one frame, so that pages can leave room for them, and one style. What
 * differs in colour differs in form as well. */
export const WIDTH = 460
const HEIGHT = 230

type Range = readonly [from: number, to: number]
type Point = readonly [x: number, y: number]

/** A picture, and what it shows in a few words. */
export interface Figure {
  readonly title: string
  readonly drawn: readonly string[]
}

/** Makes the function that turns values into places. */
export function scale([low, high]: Range, [start, end]: Range): (value: number) => number {
  return value => start + ((value - low) / (high - low)) * (end - start)
}

/** Writes words; `kind` holds classes of the style below. */
export function words(x: number, y: number, content: string, kind = ''): string {
  return `<text${kind === '' ? '' : ` class="${kind}"`} x="${short(x)}" y="${short(y)}">${content}</text>`
}

export function line(kind: string, points: readonly Point[]): string {
  return `<polyline class="${kind}" points="${points.map(([x, y]) => `${short(x)},${short(y)}`).join(' ')}"/>`
}

export function bar(kind: string, [left, right]: Range, y: number, height: number): string {
  return `<rect class="${kind}" x="${short(left)}" y="${short(y)}" width="${short(right - left)}" height="${height}"/>`
}

/** Short upright lines in a row, such as one for each call. */
export function ticks(kind: string, places: readonly number[], y: number, height: number): string {
  return `<path class="${kind}" d="${places.map(x => `M${short(x)} ${y}v${height}`).join('')}"/>`
}

/** An axis along the bottom, with marks at these places. */
export function axis(
  y: number,
  marks: readonly (readonly [x: number, label: string])[],
  [left, right]: Range,
): string[] {
  return [
    line('axis', [
      [left, y],
      [right, y],
    ]),
    ticks(
      'axis',
      marks.map(([x]) => x),
      y,
      4,
    ),
    ...marks.map(([x, label]) => words(x, y + 17, label, 'small middle')),
  ]
}

/** Writes the file. */
export function picture({ title, drawn }: Figure): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
<title>${title}</title>
<style>
svg { background: #fff }
text { font: 13px system-ui, sans-serif; fill: #1b222c }
.small { font-size: 12px; fill: #5a6472 }
.middle { text-anchor: middle }
.end { text-anchor: end }
polyline, path { fill: none }
.axis, .grid { stroke: #b4bcc6 }
.grid { stroke-opacity: 0.5 }
.good { stroke: #1d5fa8; stroke-width: 2 }
.bad { stroke: #b5601a; stroke-width: 2 }
.plain { stroke: #77828f; stroke-width: 2; stroke-dasharray: 5 3 }
.full { fill: #1d5fa8 }
.half { fill: #5a6472 }
.none { fill: #b5601a }
.on { font-size: 12px; fill: #fff }
@media (prefers-color-scheme: dark) {
  svg { background: #11151b }
  text { fill: #dde3ea }
  .small { fill: #97a3b1 }
  .axis, .grid { stroke: #4a5563 }
  .good { stroke: #7db4f5 }
  .bad { stroke: #e5a065 }
  .plain { stroke: #97a3b1 }
  .full { fill: #7db4f5 }
  .half { fill: #97a3b1 }
  .none { fill: #e5a065 }
  .on { fill: #11151b }
}
</style>
${drawn.join('\n')}
</svg>
`
}

function short(value: number): number {
  return Math.round(value * 10) / 10
}
