import { afterEach, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { chromiumPath, launchBrowser } from '#tests/support/chromium.ts'
import { html, startUpstream } from '#tests/support/upstream.ts'

const named = process.env.CHROMIUM_PATH

afterEach(() => {
  if (named === undefined) delete process.env.CHROMIUM_PATH
  else process.env.CHROMIUM_PATH = named
})

test('names the package and the command when there is no browser', () => {
  process.env.CHROMIUM_PATH = '/dev/null/none'

  expect(() => chromiumPath()).toThrow('sudo apt-get install chromium')
})

test.skipIf(!existsSync(named || '/usr/bin/chromium'))(
  'opens a page',
  async () => {
    await using upstream = await startUpstream(html(200, '<!doctype html><h1>Hello</h1>'))

    const browser = await launchBrowser()
    const page = await browser.newPage()
    await page.goto(upstream.url)
    const heading = await page.textContent('h1')
    await browser.close()

    expect(heading).toBe('Hello')
  },
  30_000,
)
