import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { createDocs } from '#http/docs/page.ts'
import { composeSupport } from '#src/compose/support.ts'
import { until } from '#tests/support/until.ts'
import { hasBrowser, type Pages, startPages } from './pages.ts'

const PAGE_MS = 30_000

let pages: Pages
const open = (path: string) => pages.open(path)

describe.skipIf(!hasBrowser())('in a browser', () => {
  beforeAll(async () => {
    pages = await startPages()
  }, PAGE_MS)
  afterAll(() => pages.stop())

  test.each(createDocs({ version: '1.2.3', support: composeSupport() }).slugs)(
    'the page %s stays within its own origin and policy, and fits a narrow screen',
    async slug => {
      const { page, complaints } = await open(`/docs/${slug}`)
      await page.setViewportSize({ width: 360, height: 800 })
      const overflow = await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')
      await page.close()

      expect(complaints).toEqual([])
      expect(overflow).toBe(0)
    },
    PAGE_MS,
  )

  test.each(['failures', 'dependencies', 'configuration'])(
    'the tables of the page %s show all their columns on a laptop',
    async slug => {
      const { page } = await open(`/docs/${slug}`)
      await page.setViewportSize({ width: 1280, height: 800 })
      const hidden = await page.evaluate(
        `[...document.querySelectorAll('.table')].map(table => table.scrollWidth - table.clientWidth)`,
      )
      await page.close()

      expect(new Set(Array.isArray(hidden) ? hidden : [])).toEqual(new Set([0]))
    },
    PAGE_MS,
  )

  test(
    'a column of short names takes no more room than they need on a phone',
    async () => {
      const { page } = await open('/docs/failures')
      await page.setViewportSize({ width: 390, height: 800 })
      const widths = await page.evaluate(
        `[...document.querySelectorAll('.table th:first-child')].filter(cell => cell.innerText === 'no.').map(cell => cell.offsetWidth)`,
      )
      await page.close()

      expect(widths).toEqual([expect.any(Number), expect.any(Number)])
      expect(Math.max(...(Array.isArray(widths) ? widths : []))).toBeLessThan(64)
    },
    PAGE_MS,
  )

  test.each(['troubleshooting', 'configuration', 'observability', 'support'])(
    'the names in the tables of the page %s break on a phone only where one could read them apart',
    async slug => {
      const { page } = await open(`/docs/${slug}`)
      await page.setViewportSize({ width: 390, height: 800 })
      const torn = await page.evaluate(
        `[...document.querySelectorAll('.table td:not(:first-child) > code')]
          .filter(code => code.getClientRects().length > code.innerText.split(/[_./:=-]|\\s/).length)
          .map(code => code.innerText)`,
      )
      await page.close()

      expect(torn).toEqual([])
    },
    PAGE_MS,
  )

  test.each(['/docs/first-steps', '/docs/reference#/Inference/createChatCompletion'])(
    'the commands of %s call the gateway that serves the page',
    async path => {
      const { page } = await open(path)
      await page.waitForSelector('.code')
      const code = String(
        await page.evaluate(`[...document.querySelectorAll('.code')].map(each => each.innerText).join('\\n')`),
      )
      const origin = String(await page.evaluate('location.origin'))
      await page.close()

      expect(code).toContain(`${origin}/v1`)
      expect(code).not.toContain('localhost:8000/')
    },
    PAGE_MS,
  )

  test.each([
    ['least_busy', '**/docs/routing#strategies'],
    ['budget', '**/docs/budgets'],
  ])(
    'the search for %s leads to what is about it',
    async (word, address) => {
      const { page, complaints } = await open('/docs')
      await page.fill('#search', word)
      await page.click('#results a')
      await page.waitForURL(address)
      await page.close()

      expect(complaints).toEqual([])
    },
    PAGE_MS,
  )

  test(
    'the buttons that copy cover no code on a touch screen',
    async () => {
      const { page } = await pages.open('/docs/first-steps', { isMobile: true, hasTouch: true })
      const covered = await page.evaluate(
        `[...document.querySelectorAll('.code')]
          .filter(box => box.querySelector('.copy').getBoundingClientRect().bottom > box.querySelector('code').getBoundingClientRect().top)
          .map(box => box.innerText)`,
      )
      const buttons = await page.locator('.code .copy').count()
      await page.close()

      expect(covered).toEqual([])
      expect(buttons).toBeGreaterThan(10)
    },
    PAGE_MS,
  )

  test(
    'nothing of a page is cut off on paper',
    async () => {
      const { page } = await open('/docs/keys')
      await page.setViewportSize({ width: 720, height: 1000 })
      await page.emulateMedia({ media: 'print' })
      const cut = await page.evaluate(
        `[...document.querySelectorAll('.code pre, .table')]
          .filter(box => box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== 'visible')
          .map(box => box.innerText)`,
      )
      await page.close()

      expect(cut).toEqual([])
    },
    PAGE_MS,
  )

  test(
    'the keyboard reaches what can be scrolled, and nothing else that does nothing',
    async () => {
      const { page } = await open('/docs/streaming')
      const stops = () => page.locator('.table[tabindex="0"]').count()
      await page.setViewportSize({ width: 300, height: 800 })
      await until('a table can be reached', PAGE_MS, async () => (await stops()) > 0)
      await page.setViewportSize({ width: 1280, height: 800 })
      await until('none can', PAGE_MS, async () => (await stops()) === 0)
      await page.close()
    },
    PAGE_MS,
  )

  test(
    'what the search has found goes away with the keyboard, and is not followed when it is hidden',
    async () => {
      const { page } = await open('/docs/keys')
      await page.fill('#search', 'least_busy')
      await page.waitForSelector('#results a')
      await page.keyboard.press('Tab')
      expect(await page.isVisible('#results')).toBe(true)
      for (const _ of await page.$$('#results a')) await page.keyboard.press('Tab')
      expect(await page.isVisible('#results')).toBe(false)

      await page.focus('#search')
      await page.keyboard.press('Enter')
      expect(new URL(page.url()).pathname).toBe('/docs/keys')
      await page.close()
    },
    PAGE_MS,
  )
})
