import { expect, setDefaultTimeout, test } from 'bun:test'
import { readFile } from 'node:fs/promises'
import { makeCertificates } from '#tests/support/certificates.ts'
import { startProxy, startSecure } from '#tests/support/proxy.ts'
import { run } from './child.ts'

setDefaultTimeout(30_000)

const COMPLETION = JSON.stringify({
  id: 'chatcmpl-1',
  object: 'chat.completion',
  created: 1_700_000_000,
  model: 'm',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
})

test('a server behind a proxy that wants a certificate is called and probed with it', async () => {
  await using certificates = await makeCertificates()
  const own = await certificates.issue('gateway')
  await using server = await startSecure(await certificates.issue('server'), certificates.ca, COMPLETION)
  await using proxy = await startProxy()
  const configuration = {
    gateway: { discover: false, demo: false },
    auth: { admin_keys: ['admin-key-0123456789'] },
    servers: [
      {
        id: 'llm',
        kind: 'openai_compatible',
        base_url: `https://127.0.0.1:${server.port}/v1`,
        tls: { ca_file: 'ca.pem', cert_file: 'own.pem', key_file: 'own.key', server_name: 'localhost' },
        proxy: proxy.url,
      },
    ],
    models: { m: { targets: [{ server: 'llm', model: 'm' }] } },
  }
  const files = {
    'gateway.yaml': JSON.stringify(configuration),
    'ca.pem': await readFile(certificates.ca, 'utf8'),
    'own.pem': await readFile(own.cert, 'utf8'),
    'own.key': await readFile(own.key, 'utf8'),
  }
  await using child = await run(['start', '--port', '0', '--config', 'gateway.yaml'], { files })
  const [, url = ''] = await child.said(/listens on (https?:\S+)[\s\S]*\n {2}try .*\n/)
  const body = JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] })
  const authorization = 'Bearer admin-key-0123456789'

  const answer = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body, headers: { authorization } })
  const shown = await (await fetch(`${url}/management/config`, { headers: { authorization } })).text()

  // The other one is the probe.
  while (server.names.length < 2) await Bun.sleep(10)

  expect(await answer.json()).toEqual(JSON.parse(COMPLETION))
  expect(new Set(server.names)).toEqual(new Set(['gateway']))
  expect(proxy.asked.every(asked => asked.startsWith(`CONNECT 127.0.0.1:${server.port} HTTP/1.1\r\n`))).toBe(true)
  expect(proxy.asked.length).toBeGreaterThan(0)
  expect(shown).toContain('own.pem')
  expect(shown + child.out() + child.err()).not.toContain('pass%20word')
})
