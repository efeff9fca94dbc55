import { test } from 'bun:test'
import { startGateway, startModelServer, configOf, callBody } from '#tests/support/gateway.ts'
import { rawClient } from '#tests/support/raw-client.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { gate, sse, inTurn, reset, cut, json, hang } from '#tests/support/upstream.ts'
test('p', async () => {
  await using server = await startModelServer(openAiScript())
  await using gw = await startGateway(configOf([server]))
  const body = JSON.stringify(callBody({ stream: true }))
  const c = rawClient(gw.port, `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: ${body.length}\r\n\r\n`)
  await Bun.sleep(200); console.log('100?', c.text()); c.socket.write(body); await Bun.sleep(200); console.log(c.text().slice(0, 200))
  const d = rawClient(gw.port, `POST /v1/chat/completions HTTP/1.0\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  console.log('1.0', await Promise.race([d.ended, Bun.sleep(500)]), d.text().slice(0, 400), d.text().slice(-40))
  const half = rawClient(gw.port, '')
  half.socket.end(`POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
  console.log('halfclose', await Promise.race([half.ended, Bun.sleep(500)]), half.text().slice(0, 60))
  // stale connection
  await using stale = await startModelServer(r => r.index === 1 ? reset() : json(200, { choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }] }))
  await using gw2 = await startGateway(configOf([stale]))
  console.log('stale', (await gw2.chat()).status, (await gw2.chat()).status, (await gw2.chat()).status, stale.calls.map(c => c.connection))
  // idle-closed
  await using closing = await startModelServer(r => [json(200, { choices: [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }] }), cut()])
  await using gw3 = await startGateway(configOf([closing]))
  const out = []
  for (let i = 0; i < 30; i++) out.push((await gw3.chat()).status)
  console.log('closing', out.join(' '))
  await using silent = await startModelServer(hang())
  await using gw4 = await startGateway(configOf([silent]))
  const t = performance.now()
  const r = await gw4.chat({}, { headers: { 'x-citadel-timeout-ms': '100' } })
  console.log(r.status, await r.text(), performance.now() - t, await Promise.race([silent.calls[0]?.closed, Bun.sleep(200)]), await gw4.logged({ status: 504 }))
  await using mid = await startModelServer(sse([...chatEvents('m').slice(0, 2), hang()]))
  await using gw5 = await startGateway(configOf([mid]))
  const r5 = await gw5.chat({ stream: true }, { headers: { 'x-citadel-timeout-ms': '100' } })
  console.log(r5.status, (await r5.text()).slice(-300), await Promise.race([mid.calls[0]?.closed, Bun.sleep(200)]))
  await using gw6 = await startGateway(configOf([mid], { timeouts: { total: '200ms' } }))
  const r6 = await gw6.chat({ stream: true })
  console.log(r6.status, (await r6.text()).slice(-300), await gw6.logged({ outcome: 'interrupted' }))
}, 60000)
