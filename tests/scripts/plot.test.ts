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
