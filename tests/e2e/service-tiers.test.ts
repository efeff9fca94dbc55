import { expect, setDefaultTimeout, test } from 'bun:test'
import type { JsonObject } from '#lib/json.ts'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { chatCompletion, chatEvents } from '#tests/support/openai-upstream.ts'
import { json, reset, type Script, type StreamItem, sse } from '#tests/support/upstream.ts'
import { requestReport } from '#wire/requests.ts'

setDefaultTimeout(30_000)

const KEY = 'gw-shop-0123456789abcdef'
const PRICE = { input: 1, output: 2, service_tiers: { flex: 0.5, priority: 4 } }
/** Seven tokens in and three out, as the scripted server says: 7 × 1 + 3 × 2 millionths. */
const USUAL = 0.000013

/** An answer that tells its tier, as a stream or plain; a stream may break off before its count. */
function served(service_tier: string | null, cut = false): Script {
  return ({ body }) => {
    const { stream } = JSON.parse(body)
    if (stream !== true) return json(200, { ...chatCompletion('m'), service_tier })
    const events = chatEvents('m', {}, true).map(each => (typeof each === 'string' ? each : { ...each, service_tier }))
    return sse(cut ? [...events.slice(0, 3), reset()] : (events as StreamItem[]))
  }
}

/** An answer of the same count from Gemini, which tells its tier in a header. */
function servedByGemini(tier: string): Script {
  const headers = { 'x-gemini-service-tier': tier }
  const answer = {
    candidates: [{ content: { parts: [{ text: 'Hi' }] }, finishReason: 'STOP', index: 0 }],
    usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 3 },
  }
  return ({ path }) => (path.includes(':stream') ? sse([answer], { headers }) : json(200, answer, headers))
}

/** Calls a gateway before such a server, and gives the status and what is told of the call. */
async function charged(script: Script, body: object, more: Tree = {}, kind = 'openai_compatible') {
  await using server = await startModelServer(script)
  await using gateway = await startGateway({
    ...configOf([server]),
    servers: [{ id: 'a', kind, base_url: server.url }],
    models: { chat: { targets: [{ server: 'a', model: 'm', price: PRICE }] } },
    auth: { keys: [{ name: 'web', key: KEY, budget: { usd: 1, per: 'month' } }] },
    ...more,
  })
  const response = await gateway.chat(body, { headers: { 'x-api-key': KEY } })
  await response.text()
  const path = `/v1/requests/${response.headers.get('x-request-id')}`
  const report = await fetch(`${gateway.url}${path}`, { headers: { 'x-api-key': KEY } })
  const sent: JsonObject = JSON.parse(server.calls[0]?.body ?? '{}')
  return { status: response.status, report: requestReport.parse(await report.json()), sent }
}

test.each([
  ['as it is told', 'priority', {}, 4, 'priority'],
  ['as it is told, and not as it was asked for', 'default', { service_tier: 'priority' }, 1, 'default'],
  ['as it was asked for where nothing is told', null, { service_tier: 'flex' }, 0.5, 'flex'],
  ['as usual where nobody says anything', null, {}, 1, undefined],
  ['as usual at a tier without a factor', 'scale', { service_tier: 'auto' }, 1, 'scale'],
] as const)('a call costs %s, streamed or plain', async (_, told, asked, times, tier) => {
  for (const stream of [false, true]) {
    const { report } = await charged(served(told), { ...asked, stream })

    expect(report.cost_usd).toBeCloseTo(USUAL * times, 12)
    expect(report.usage?.service_tier).toBe(tier)
  }
})

test.each([
  ['flex', 'flex', 0.5, 'flex'],
  ['priority', 'standard', 1, 'default'],
] as const)('Gemini is asked for %s, and a call costs as its answer tells: %s', async (asked, told, times, tier) => {
  for (const stream of [false, true]) {
    const { report, sent } = await charged(servedByGemini(told), { service_tier: asked, stream }, {}, 'gemini')

    expect(sent.service_tier).toBe(asked)
    expect(report.cost_usd).toBeCloseTo(USUAL * times, 12)
    expect(report.usage?.service_tier).toBe(tier)
  }
})

test('an answer that breaks off costs what its beginning told', async () => {
  const [usual, dear] = [
    await charged(served('default', true), { stream: true }),
    await charged(served('priority', true), { stream: true }),
  ]

  expect([usual.report.outcome, dear.report.outcome]).toEqual(['interrupted', 'interrupted'])
  expect(dear.report.cost_usd).toBeCloseTo((usual.report.cost_usd ?? 0) * 4, 12)
})

test.each([
  ["Google's header", { headers: { 'x-gemini-service-tier': 'standard' } }, {}],
  ["the cloud's events, which count nothing until the last", {}, { usageMetadata: { trafficType: 'ON_DEMAND' } }],
])('so does one of Gemini by %s', async (_, head, more) => {
  const piece = (text: string) => ({ candidates: [{ content: { parts: [{ text }] }, index: 0 }], ...more })
  const cut: Script = () => sse([piece('Hel'), piece('lo'), reset()], head)
  const [usual, asked] = [
    await charged(cut, { stream: true }, {}, 'gemini'),
    await charged(cut, { stream: true, service_tier: 'priority' }, {}, 'gemini'),
  ]

  expect([asked.report.outcome, asked.report.usage?.service_tier]).toEqual(['interrupted', 'default'])
  expect(asked.report.cost_usd).toBe(usual.report.cost_usd)
})

test('a budget has to cover the tier that is asked for, and need not cover another one', async () => {
  // About 2000 millionths at the usual price.
  const budget = { auth: { keys: [{ name: 'web', key: KEY, budget: { usd: 0.003, per: 'month' } }] } }
  const status = async (body: object) => (await charged(served(null), { max_tokens: 1000, ...body }, budget)).status

  expect([
    await status({}),
    await status({ service_tier: 'flex' }),
    await status({ service_tier: 'priority' }),
  ]).toEqual([200, 200, 429])
})

test('a gateway before Anthropic charges the speed and the place, and so does a gateway before that one', async () => {
  const usage = { input_tokens: 10, output_tokens: 5, service_tier: 'standard', speed: 'fast', inference_geo: 'us' }
  const content = [{ type: 'text', text: 'Hi.' }]
  await using api = await startModelServer(() =>
    json(200, { id: 'msg_1', model: 'c', content, stop_reason: 'end_turn', usage }),
  )
  const price = { input: 1, output: 2, service_tiers: { fast: 6 }, inference_geo: { us: 1.1 } }
  await using inner = await startGateway({
    servers: [{ id: 'claude', kind: 'anthropic', base_url: api.url, api_key: 'sk-test' }],
    models: { chat: { targets: [{ server: 'claude', model: 'c', price }] } },
  })
  await using outer = await startGateway({
    servers: [{ id: 'inner', kind: 'openai_compatible', base_url: `${inner.url}/v1` }],
    models: { chat: { targets: [{ server: 'inner', model: 'chat', price }] } },
  })

  const response = await outer.chat({ speed: 'fast' })

  const costs = await Promise.all(
    [inner, outer].map(async gateway => {
      const { request_id } = await gateway.logged({ message: 'request' })
      return requestReport.parse(await (await fetch(`${gateway.url}/v1/requests/${request_id}`)).json()).cost_usd
    }),
  )
  expect(response.status).toBe(200)
  expect(costs).toEqual([0.000132, 0.000132])
})
