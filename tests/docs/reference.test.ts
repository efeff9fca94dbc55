import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { until } from '#tests/support/until.ts'
import { hasBrowser, type Pages, startPages } from './pages.ts'

const PAGE_MS = 30_000

let pages: Pages
const open = (path: string) => pages.open(path)

describe.skipIf(!hasBrowser())('the API reference in a browser', () => {
  beforeAll(async () => {
    pages = await startPages()
  }, PAGE_MS)
  afterAll(() => pages.stop())

  test(
    'the reference calls the gateway that serves it, and fits a phone with all that an answer says',
    async () => {
      const { page, complaints } = await open('/docs/reference')
      await page.click('#operations-Inference-createChatCompletion .opblock-summary-control')
      await page.click('.try-out button')
      await page.click('.execute')
      await page.waitForSelector('.live-responses-table')

      const answer = await page.textContent('.live-responses-table')
      const examples = await page.textContent('.samples .tabs')
      await page.setViewportSize({ width: 360, height: 800 })
      const overflow = await page.evaluate('document.documentElement.scrollWidth - window.innerWidth')
      await page.close()

      expect(complaints).toEqual([])
      expect(overflow).toBe(0)
      expect(answer).toContain('This is citadel-demo')
      expect(examples).toContain('openai-python')
    },
    PAGE_MS,
  )

  test(
    'the dialog for a key begins with its first field',
    async () => {
      const { page, complaints } = await open('/docs/reference')
      await page.click('.authorize')
      await page.waitForSelector('.auth-container input')
      const state = await page.evaluate(`({
        focused: [...document.querySelectorAll('.auth-container input')].indexOf(document.activeElement),
        scrolled: document.querySelector('.modal-ux-content').scrollTop,
      })`)
      await page.close()

      expect(complaints).toEqual([])
      expect(state).toEqual({ focused: 0, scrolled: 0 })
    },
    PAGE_MS,
  )

  test(
    'a link to an operation shows it from its first line on, in the one main part of the page',
    async () => {
      const { page } = await open('/docs/reference#/Management/getUsage')
      await page.waitForSelector('#operations-Management-getUsage .opblock-body')
      await until('the page has scrolled', PAGE_MS, () => page.evaluate('window.scrollY > 0'))
      const { top, below, mains } = Object(
        await page.evaluate(`({
          top: document.querySelector('#operations-Management-getUsage').getBoundingClientRect().top,
          below: document.querySelector('.top').getBoundingClientRect().bottom,
          mains: [...document.querySelectorAll('main:not([role])')].map(({ id }) => id),
        })`),
      )
      await page.close()

      expect(top).toBeGreaterThanOrEqual(below)
      expect(mains).toEqual(['main'])
    },
    PAGE_MS,
  )

  test(
    'everything that can be chosen, written or pressed has a name, and Escape closes the dialog for a key',
    async () => {
      const { page } = await open('/docs/reference')
      await page.click('#operations-Inference-createChatCompletion .opblock-summary-control')
      await page.click('.try-out button')
      await page.waitForSelector('.opblock-section-request-body textarea')
      await page.click('.authorize')
      await page.waitForSelector('.close-modal')
      const nameless = () =>
        page.evaluate(`[...document.querySelectorAll('#reference :is(select, textarea, button)')]
          .filter(({ ariaLabel, title, labels, tagName, innerText }) =>
            !ariaLabel && !title && labels.length === 0 && !(tagName === 'BUTTON' && innerText))
          .map(control => control.outerHTML.slice(0, 80))`)
      await until('all have names', PAGE_MS / 3, async () => {
        const left = Object(await nameless())
        return left.length === 0 || left
      })
      await page.keyboard.press('Escape')
      const stays = await page.isVisible('.close-modal')
      const focused = await page.evaluate(`document.activeElement.className`)
      await page.close()

      expect(stays).toBe(false)
      expect(focused).toContain('authorize')
    },
    PAGE_MS,
  )
})
