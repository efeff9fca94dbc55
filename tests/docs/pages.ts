import { existsSync } from 'node:fs'
import type { BrowserContextOptions, Page } from 'playwright-core'
import { launchBrowser } from '#tests/support/chromium.ts'
import { startLiveGateway } from '#tests/support/live-gateway.ts'

/** The pages of a gateway with the demo model, in a browser. */
export interface Pages {
  /** Opens a page and collects what it asks for elsewhere, and what the browser complains about. */
  open(path: string, device?: BrowserContextOptions): Promise<{ readonly page: Page; readonly complaints: string[] }>
  stop(): Promise<void>
}

export function hasBrowser(): boolean {
  return existsSync(process.env.CHROMIUM_PATH || '/usr/bin/chromium')
}

export async function startPages(): Promise<Pages> {
  const gateway = await startLiveGateway('gateway: { discover: false, demo: true }\n')
  const browser = await launchBrowser()
  return {
    async open(path, device) {
      const page = await browser.newPage(device)
      const complaints: string[] = []
      page.on('request', request => {
        const url = request.url()
        if (!url.startsWith(gateway.url) && !url.startsWith('data:')) complaints.push(url)
      })
      page.on('console', message => {
        if (message.type() === 'error') complaints.push(message.text())
      })
      page.on('pageerror', error => complaints.push(error.message))
      await page.goto(gateway.url + path, { waitUntil: 'networkidle' })
      return { page, complaints }
    },
    async stop() {
      await browser.close()
      await gateway.stop()
    },
  }
}
