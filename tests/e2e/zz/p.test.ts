import { test } from 'bun:test'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { rawClient } from '#tests/support/raw-client.ts'

test('p', async () => {
  await using up = await startModelServer(openAiScript())
  await using gw = await startGateway(configOf([up]))
  for (const framing of ['content-length: 100\r\n\r\n{', 'transfer-encoding: chunked\r\n\r\n1\r\n{\r\n']) {
    const c = rawClient(gw.port, 'POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n' + framing)
    await Bun.sleep(300)
    c.socket.destroy()
    await Bun.sleep(500)
    console.log(gw.lines.filter(l => l.message === 'request'))
  }
  const m = await (await fetch(gw.url + '/metrics')).text()
  console.log(m.split('\n').filter(l => l.startsWith('http_requests_in')))
})
