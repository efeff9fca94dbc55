import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Finds the browser for the tests of pages: `CHROMIUM_PATH`, else where Debian's package puts it.
 *
 * @throws Error When it is missing, with the command that installs it. */
export function chromiumPath(): string {
  const path = process.env.CHROMIUM_PATH || '/usr/bin/chromium'
  if (existsSync(path)) return path
  throw new Error(
    `No browser at ${path}. Install the package chromium (sudo apt-get install chromium), or set CHROMIUM_PATH.`,
  )
}

/** Starts a headless browser with a new, empty profile, which is removed when the browser closes. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: chromiumPath(), headless: true, args: flags })
}
