/** Draws the pictures of the guides, with the parts of the gateway that they are about: `bun scripts/figures.ts`. */
import { drawAttempts } from './figures/attempts.ts'
import { drawClocks } from './figures/clocks.ts'
import { picture } from './figures/draw.ts'
import { drawHedging } from './figures/hedging.ts'
import { drawLimits } from './figures/limits.ts'
import { drawOutage } from './figures/outage.ts'

const GUIDES = new URL('../src/http/docs/guides/', import.meta.url)

/** Draws all of them, by the names of their files. */
export async function drawFigures(): Promise<ReadonlyMap<string, string>> {
  const streaming = await Bun.file(new URL('streaming.md', GUIDES)).text()
  return new Map([
    ['attempts.svg', picture(await drawAttempts())],
    ['clocks.svg', picture(drawClocks(streaming))],
    ['hedging.svg', picture(drawHedging())],
    ['limits.svg', picture(drawLimits())],
    ['outage.svg', picture(await drawOutage())],
  ])
}

if (import.meta.main)
  for (const [name, drawn] of await drawFigures()) await Bun.write(new URL(`figures/${name}`, GUIDES), drawn)
