import { expect, test } from 'bun:test'
import { plotSpeed } from '../../scripts/bench/plot.ts'

const ROOT = new URL('../../', import.meta.url)

test('the picture in the README shows the numbers of its table', async () => {
  const [readme = '', picture = ''] = await Promise.all(
    ['README.md', 'scripts/bench/speed.svg'].map(path => Bun.file(new URL(path, ROOT)).text()),
  )

  expect(picture, 'draw it anew: bun scripts/bench/plot.ts').toBe(plotSpeed(readme))
  expect(picture.match(/<rect class="gateway"/g)?.length).toBeGreaterThan(2)
  expect(readme).toContain('(scripts/bench/speed.svg)')
})

test('numbers of a thousand and more are drawn as they are written', () => {
  const picture = plotSpeed('| request | 1 | 927 | 1,470 | 419 | 1.58 | 3.50 |')

  expect(picture).toContain('>1470<')
  expect(picture).not.toContain('NaN')
})
