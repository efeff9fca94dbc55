import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync } from 'node:fs'
import type { Browser, Page } from 'playwright-core'
import { launchBrowser } from '#tests/support/chromium.ts'
import { callBody, configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { hang, type Script, sse } from '#tests/support/upstream.ts'

const PAGE_MS = 30_000
/** A name of this machine that is no admitted origin. */
const FOREIGN = 'evil.localhost'
const CLIENT = new URL('../support/browser-client.ts', import.meta.url).pathname

describe.skipIf(!existsSync(process.env.CHROMIUM_PATH || '/usr/bin/chromium'))('a page in a browser', () => {
  let browser: Browser
  let application: ReturnType<typeof serveApplication>

  beforeAll(async () => {
    const bundle = await Bun.build({ entrypoints: [CLIENT], target: 'browser' })
    application = serveApplication((await bundle.outputs[0]?.text()) ?? '')
    browser = await launchBrowser()
  }, PAGE_MS)
  afterAll(async () => {
    await browser.close()
    await application.stop(true)
  })

  for (const host of ['localhost', '127.0.0.1']) {
    test(
      `streams through the official client from another port of ${host}`,
      async () => {
        await using at = await open(host, openAiScript())

        const deltas = await at.page.evaluate(`page.stream(${at.baseUrl})`)

        expect(deltas).toEqual(['', 'Hello', ' there', '!', ''])
        expect(at.complaints).toEqual([])
      },
      PAGE_MS,
    )
  }

  test(
    'reads the code and the id of a failure',
    async () => {
      await using at = await open('localhost', openAiScript())

      const failure = await at.page.evaluate(`page.fail(${at.baseUrl})`)

      expect(failure).toMatchObject({
        status: 404,
        code: 'model_not_found',
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      })
    },
    PAGE_MS,
  )

  test(
    'closes the server when it leaves a stream',
    async () => {
      await using at = await open('localhost', sse([...chatEvents('m').slice(0, 2), hang()]))

      const content = await at.page.evaluate(`page.leave(${at.baseUrl})`)
      const asked = await at.server.called(1)
      await asked.closed

      expect([content, asked.closedBy]).toEqual(['Hello', 'client'])
      expect(await at.logged({ outcome: 'cancelled' })).toMatchObject({ status: 200, stream: true })
    },
    PAGE_MS,
  )

  test(
    'of a foreign origin cannot make the gateway work, not even with a request that needs no leave',
    async () => {
      await using at = await open(FOREIGN, openAiScript())
      const body = JSON.stringify(JSON.stringify(callBody()))

      const outcome = await at.page.evaluate(
        `fetch(${at.baseUrl} + '/chat/completions', { method: 'POST', mode: 'no-cors', body: ${body} }).then(answer => answer.type)`,
      )

      expect(outcome).toBe('opaque')
      expect(await at.logged({ code: 'origin_not_allowed' })).toMatchObject({ status: 403, method: 'POST' })
      expect(at.server.calls).toHaveLength(0)
    },
    PAGE_MS,
  )

  test(
    'of a foreign origin is refused before it may send a key, and cannot read a list',
    async () => {
      await using at = await open(FOREIGN, openAiScript())

      const failure: { readonly status?: number } = await at.page.evaluate(`page.fail(${at.baseUrl})`)
      const list = await at.page.evaluate(`fetch(${at.baseUrl} + '/models').then(() => 'read', error => error.name)`)

      expect(failure.status).toBeUndefined()
      expect(list).toBe('TypeError')
      expect(await at.logged({ code: 'origin_not_allowed' })).toMatchObject({ status: 403, method: 'OPTIONS' })
      expect(at.server.calls).toHaveLength(0)
    },
    PAGE_MS,
  )

  test(
    'of a foreign origin cannot post a form',
    async () => {
      await using at = await open(FOREIGN, openAiScript())

      await at.page.evaluate(`
        const form = document.createElement('form')
        form.method = 'post'
        form.enctype = 'text/plain'
        form.action = ${at.baseUrl} + '/chat/completions'
        form.innerHTML = '<input name=\\'{"model":"chat","messages":[{"role":"user","content":"Hi"}],"x":"\\' value=\\'"}\\'>'
        document.body.append(form)
        form.submit()`)

      expect(await at.logged({ code: 'origin_not_allowed' })).toMatchObject({ status: 403, method: 'POST' })
      expect(at.server.calls).toHaveLength(0)
    },
    PAGE_MS,
  )

  /** Opens the application under a name of this machine, with a gateway that it may or may not call. */
  async function open(host: string, script: Script) {
    const server = await startModelServer(script)
    const gateway = await startGateway(configOf([server]))
    const page = await browser.newPage()
    const complaints = watch(page)
    await page.goto(`http://${host}:${application.port}/`)
    return {
      server,
      page,
      complaints,
      logged: gateway.logged,
      baseUrl: JSON.stringify(`${gateway.url}/v1`),
      async [Symbol.asyncDispose]() {
        await page.close()
        await gateway[Symbol.asyncDispose]()
        await server.close()
      },
    }
  }
})

function watch(page: Page): string[] {
  const complaints: string[] = []
  page.on('console', message => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  page.on('pageerror', error => complaints.push(String(error)))
  return complaints
}

/** Somebody's application: one page with the official client bundled. */
function serveApplication(bundle: string) {
  return Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch(request) {
      const path = new URL(request.url).pathname
      if (path === '/client.js') return new Response(bundle, { headers: { 'content-type': 'text/javascript' } })
      if (path !== '/') return new Response(null, { status: 204 })
      const html = '<!doctype html><title>Application</title><body><script type="module" src="/client.js"></script>'
      return new Response(html, { headers: { 'content-type': 'text/html; charset=utf-8' } })
    },
  })
}
