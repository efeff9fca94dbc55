import { beforeAll, describe, expect, test } from 'bun:test'
import { docsAsset } from '#http/docs/assets.ts'
import { readGuides } from '#http/docs/guides.ts'
import { renderMarkdown } from '#http/docs/markdown.ts'
import { drawClocks } from '../../scripts/figures/clocks.ts'
import { drawFigures } from '../../scripts/figures.ts'

const FOLDER = new URL('../../src/http/docs/guides/figures/', import.meta.url)

describe('the pictures of the guides', () => {
  let drawn: ReadonlyMap<string, string>
  beforeAll(async () => {
    drawn = await drawFigures()
  })

  test('show what the gateway does now', async () => {
    for (const [name, picture] of drawn)
      expect(await Bun.file(new URL(name, FOLDER)).text(), 'draw it anew: bun scripts/figures.ts').toBe(picture)
  })

  test('are served, and described to those who do not see them', async () => {
    const shown = readGuides().flatMap(({ markdown }) => [
      ...renderMarkdown(markdown).html.matchAll(/<img src="\/docs\/assets\/([^"]+)" alt="([^"]{80,})">/g),
    ])
    const files = await Promise.all(shown.map(([, name = '']) => docsAsset(name)?.load()))

    expect(shown.map(([, name]) => name).toSorted()).toEqual([...drawn.keys()])
    expect(files.map(bytes => new TextDecoder().decode(bytes))).toEqual(
      shown.map(([, name = '']) => drawn.get(name) ?? ''),
    )
  })
})

test('a clock between moments that the picture does not know is not drawn', () => {
  expect(() => drawClocks('\n## Clocks\n| `nap` | `1s` | the call | the dream | `x` |')).toThrow('"the dream"')
})
