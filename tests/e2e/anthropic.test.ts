import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, stepCountIs, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { z } from 'zod'
import type { JsonObject } from '#lib/json.ts'
import { answers, failures, streams } from '#tests/providers/anthropic/cases.ts'
import { type ModelServer, SERVER_KEY, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { playRecorded, type RecordedCase, recordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'
import { seededSplits } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'
import { hang, inTurn, json, reset, type Script, type StreamItem, sse, startUpstream } from '#tests/support/upstream.ts'
import { requestReport } from '#wire/requests.ts'

const named = (cases: readonly RecordedCase[]) => cases.map(each => [each.name, each] as const)
const messages = [{ role: 'user' as const, content: 'Hi' }]

/** A gateway before scripted servers of the Messages API, all of which have `chat`. */
async function gatewayBefore(
  servers: readonly Pick<ModelServer, 'url'>[],
  more: Tree = {},
  model = 'claude-haiku-4-5',
) {
  const ids = servers.map((_, index) => `claude-${index}`)
  const gateway = await startGateway({
    servers: servers.map(({ url }, at) => ({ id: ids[at], kind: 'anthropic', base_url: url, api_key: SERVER_KEY })),
    models: { chat: { targets: ids.map(server => ({ server, model })), capabilities: { prefill: true } } },
    load_balancer: { algorithm: 'explicit' },
    ...more,
  })
  const baseURL = `${gateway.url}/v1`
  return {
    gateway,
    openai: new OpenAI({ apiKey: 'none', baseURL, maxRetries: 0 }),
    ai: createOpenAICompatible({ name: 'citadel', baseURL, includeUsage: true })('chat'),
  }
}

async function play(script: Script, model?: string) {
  const server = await startModelServer(script)
  const at = await gatewayBefore([server], {}, model)
  return {
    ...at,
    asked: (index: number) => server.calls[index]?.json() as JsonObject & { readonly messages: JsonObject[] },
    headers: (index: number) => server.calls[index]?.headers ?? {},
    async [Symbol.asyncDispose]() {
      await at.gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

/** What is told of a request once it is over. */
async function reported(gateway: Awaited<ReturnType<typeof gatewayBefore>>['gateway']) {
  const line = await gateway.logged({ message: 'request' })
  const report = await (await fetch(`${gateway.url}/v1/requests/${line.request_id}`)).json()
  return { line, report: requestReport.parse(report) }
}

/** The events of an answer with this text. */
function said(text: string, ...before: JsonObject[]): JsonObject[] {
  const message = { id: 'msg_1', model: 'claude', usage: { input_tokens: 40, output_tokens: 1 } }
  return [
    { type: 'message_start', message },
    ...before,
    { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
    { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } },
  ]
}

const end: readonly JsonObject[] = [
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 9 } },
  { type: 'message_stop' },
]

describe.skipIf(sharedDir() === null)('what was recorded, over a socket', () => {
  test.each(named(streams))('is streamed to both clients: %s', async (_, recorded) => {
    await using at = await play(playRecorded(recorded))

    const { choices } = await at.openai.chat.completions.stream({ model: 'chat', messages }).finalChatCompletion()
    const result = streamText({ model: at.ai, messages })

    const { content = null, refusal } = choices[0]?.message ?? {}
    expect(await result.text).toBe(`${content ?? ''}${refusal ?? ''}`)
    expect((await result.usage).outputTokens).toBeGreaterThan(0)
    expect(at.gateway.lines.filter(line => line.error !== undefined)).toEqual([])
  })

  test.each(named(answers))('is answered to both clients: %s', async (_, recorded) => {
    await using at = await play(playRecorded(recorded))

    const { choices, usage } = await at.openai.chat.completions.create({ model: 'chat', messages })
    const result = await generateText({ model: at.ai, messages })

    const { content, refusal } = choices[0]?.message ?? {}
    expect(result.text).toBe(`${content ?? ''}${refusal ?? ''}`)
    expect(result.usage.outputTokens).toBe(usage?.completion_tokens)
  })

  test.each([
    ['anthropic/messages-stream-thinking-tool', 30],
    ['anthropic/messages-stream-padded-json', 30],
  ])('is the same wherever its bytes are split: %s', async (name, count) => {
    const recorded = recordedCase(name)
    const splits = [...seededSplits(recorded.text, count, 1)]
    await using at = await play(request => playRecorded(recorded, { split: splits[request.index - 1] }))
    const ask = async () => (await at.gateway.chat({ stream: true })).text()

    const whole = await ask()
    const pieces = await Promise.all(splits.map(ask))

    const events = whole.split(/(?<=\n\n)/)
    expect(events.pop()).toBe('data: [DONE]\n\n')
    expect(strictProblems(events)).toEqual([])
    expect(new Set(pieces.map(withoutTime))).toEqual(new Set([withoutTime(whole)]))
  })

  test.each(named(failures))('is an error in the format of OpenAI: %s', async (name, recorded) => {
    await using at = await play(playRecorded(recorded))

    const response = await at.gateway.chat({ stream: recorded.streamed })
    const { error } = (await response.json()) as { readonly error: JsonObject }

    const expected = /too-long/.test(name) ? [400, 'context_length_exceeded'] : [503, 'all_targets_failed']
    expect([response.status, error.code]).toEqual(/401/.test(name) ? [502, 'upstream_auth_failed'] : expected)
  })

  test('tools run and their results go back', async () => {
    const first = recordedCase('anthropic/messages-stream-tool')
    const second = recordedCase('anthropic/messages-stream-text')
    await using at = await play(inTurn(playRecorded(first), playRecorded(second)))
    const names = ['Gus', 'Pelé']
    const pelican_name_generator = tool({ inputSchema: z.object({}), execute: async () => names.pop() ?? '' })

    const result = streamText({
      model: at.ai,
      messages,
      tools: { pelican_name_generator },
      stopWhen: stepCountIs(2),
    })

    expect(await result.text).toBe('- Captain\n- Scoop')
    const [, called, given] = at.asked(1).messages
    const ids = ['toolu_01LtHJmixrs9NcWQkK8hu8hj', 'toolu_01N8a4jWyf116qKTMqKKmjyt']
    expect(called?.content).toMatchObject(ids.map(id => ({ type: 'tool_use', id, input: {} })))
    expect(given?.content).toMatchObject(ids.map(tool_use_id => ({ type: 'tool_result', tool_use_id })))
  })

  test('thoughts go back with their signature, when the message does as it came', async () => {
    const first = recordedCase('anthropic/messages-stream-thinking-tool')
    await using at = await play(
      inTurn(playRecorded(first), playRecorded(recordedCase('anthropic/messages-stream-text'))),
    )
    const tools = [{ type: 'function' as const, function: { name: 'fixed_version', parameters: { type: 'object' } } }]
    const asked = { model: 'chat', tools, reasoning_effort: 'low' as const }

    const { choices } = await at.openai.chat.completions.stream({ ...asked, messages }).finalChatCompletion()
    const message = choices[0]?.message
    const [call] = message?.tool_calls ?? []
    if (message === undefined || call === undefined) throw new Error('the model called no tool')
    const result = { role: 'tool' as const, tool_call_id: call.id, content: '1.2.3' }
    await at.openai.chat.completions.stream({ ...asked, messages: [...messages, message, result] }).finalContent()

    const signature = /"signature_delta","signature":"([^"]+)"/.exec(first.text)?.[1]
    expect(at.asked(1).thinking).toMatchObject({ type: 'enabled' })
    expect(at.asked(1).messages[1]?.content).toMatchObject([{ type: 'thinking', signature }, { type: 'tool_use' }])
  })
})

test('the server gets its key, and what the caller switches on; other servers do not', async () => {
  await using other = await startModelServer(openAiScript())
  await using claude = await startModelServer(json(200, { id: 'm', content: [{ type: 'text', text: 'Hi' }] }))
  await using gateway = await startGateway({
    servers: [
      { id: 'claude', kind: 'anthropic', base_url: claude.url, api_key: SERVER_KEY },
      { id: 'other', kind: 'openai_compatible', base_url: other.url },
    ],
    models: { chat: { targets: [{ server: 'claude' }] }, plain: { targets: [{ server: 'other' }] } },
  })
  const headers = { 'anthropic-beta': 'context-1m-2025-08-07', 'anthropic-version': '1999-01-01', 'x-api-key': 'mine' }

  for (const model of ['chat', 'plain']) await (await gateway.chat({ model }, { headers })).text()

  expect(claude.calls[0]?.path).toBe('/v1/messages')
  expect(claude.calls[0]?.headers).toMatchObject({
    'x-api-key': SERVER_KEY,
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'context-1m-2025-08-07',
  })
  expect(Object.keys(other.calls[0]?.headers ?? {}).filter(name => /anthropic|x-api-key/.test(name))).toEqual([])
})

test('an overloaded server makes way for the next one', async () => {
  const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
  await using busy = await startModelServer(json(529, overloaded))
  await using free = await startModelServer(sse([...said('Hello'), ...end]))
  const at = await gatewayBefore([busy, free])
  await using gateway = at.gateway

  const response = await gateway.chat({ stream: true })

  expect(await response.text()).toContain('"content":"Hello"')
  expect(response.headers.get('x-citadel-server')).toBe('claude-1')
})

describe('an answer that breaks off', () => {
  const first = 'It was a dark and stormy night; the rain fell in torrents, except at occasional'

  async function broken(model: string, next: Script) {
    await using one = await startModelServer(sse([...said(first), reset()] as StreamItem[]))
    await using two = await startModelServer(next)
    const at = await gatewayBefore([one, two], {}, model)
    await using _ = at.gateway
    const text = await at.openai.chat.completions.stream({ model: 'chat', messages }).finalContent()
    return { text, asked: two.calls.map(call => call.json() as { readonly messages: JsonObject[] }) }
  }

  test('goes on from there where the model knows how', async () => {
    const { text, asked } = await broken('claude-haiku-4-5', sse([...said(' intervals.'), ...end]))

    expect(text).toBe(`${first} intervals.`)
    expect(asked[0]?.messages.at(-1)).toEqual({ role: 'assistant', content: [{ type: 'text', text: first }] })
  })

  test('begins anew where it does not, and goes on behind what was said', async () => {
    const { text, asked } = await broken('claude-opus-4-6', sse([...said(`${first} intervals.`), ...end]))

    expect(text).toBe(`${first} intervals.`)
    expect(asked.map(({ messages }) => messages.at(-1)?.role)).toEqual(['user'])
  })
})

describe('an answer with parts that have prices of their own', () => {
  const counted = {
    ...{ input_tokens: 40, cache_read_input_tokens: 0, cache_creation_input_tokens: 300, output_tokens: 9 },
    cache_creation: { ephemeral_5m_input_tokens: 100, ephemeral_1h_input_tokens: 200 },
    server_tool_use: { web_search_requests: 2 },
  }
  const whole = { id: 'm', content: [{ type: 'text', text: 'Hi' }], stop_reason: 'end_turn', usage: counted }
  const [, ...content] = said('Hi')
  const events = [
    { type: 'message_start', message: { id: 'm', usage: { input_tokens: 40, output_tokens: 1 } } },
    ...content,
    { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: counted },
    { type: 'message_stop' },
  ]

  test.each([
    [false, json(200, whole)],
    [true, sse(events)],
  ])('is charged for each of them, as a stream: %p', async (stream, script) => {
    await using api = await startModelServer(script)
    const price = {
      ...{ input: 1, cache_write: 1.25, cache_write_1h: 2, output: 5, search: 0.01 },
      tiers: [{ above: 339, output: 7 }],
    }
    const at = await gatewayBefore([api], {
      models: { chat: { targets: [{ server: 'claude-0', model: 'm', price }] } },
    })
    await using gateway = at.gateway

    const response = await gateway.chat({ stream })
    await response.text()
    const { report } = await reported(gateway)

    expect(report.cost_usd).toBeCloseTo((40 + 100 * 1.25 + 200 * 2 + 9 * 7) / 1e6 + 0.02, 12)
    expect(report.usage?.parts).toMatchObject({ audio_input: 0, cache_write_1h: 200, searches: 2 })
  })
})

describe('an answer that does not come to its end', () => {
  const counted = {
    input_tokens: 40,
    cache_creation_input_tokens: 300,
    cache_read_input_tokens: 2000,
    output_tokens: 1,
  }
  const message = { id: 'msg_1', model: 'claude', usage: counted }
  const [, ...content] = said('It was a dark and stormy night.')
  const cut = [{ type: 'message_start', message }, ...content]
  // 31 characters were said.
  const used = { input: 40, cache_read: 2000, cache_write: 300, output: 9, reasoning: 0, estimated: true }

  test('is charged as its server has counted the prompt', async () => {
    await using api = await startModelServer(sse([...cut, reset()] as StreamItem[]))
    const price = { input: 1, cache_read: 0.1, cache_write: 1.25, output: 5 }
    const at = await gatewayBefore([api], {
      models: { chat: { targets: [{ server: 'claude-0', model: 'm', price }] } },
    })
    await using gateway = at.gateway

    const response = await gateway.chat({ stream: true })
    await response.text()
    const { line, report } = await reported(gateway)

    expect(report).toMatchObject({ outcome: 'interrupted', usage: used })
    expect(report.cost_usd).toBeCloseTo((40 + 2000 * 0.1 + 300 * 1.25 + 9 * 5) / 1e6, 12)
    expect(line).toMatchObject({ tokens_in: 2340, tokens_out: 9, estimated: true })
  })

  test.each([false, true])('is so where its caller leaves (while answers are shared: %p)', async enabled => {
    await using api = await startModelServer(sse([...cut, hang()] as StreamItem[]))
    const at = await gatewayBefore([api], { cache: { enabled } })
    await using gateway = at.gateway

    const response = await gateway.chat({ stream: true })
    const reader = response.body?.getReader()
    let read = ''
    while (!read.includes('night')) read += new TextDecoder().decode((await reader?.read())?.value)
    await reader?.cancel()

    expect((await reported(gateway)).report).toMatchObject({ outcome: 'cancelled', usage: used })
  })

  test.each([false, true])('is so by the server that went on (while answers are shared: %p)', async enabled => {
    await using one = await startModelServer(sse([...cut, reset()] as StreamItem[]))
    await using two = await startModelServer(
      sse([...said('It was a dark and stormy night. The end.'), hang()] as StreamItem[]),
    )
    const at = await gatewayBefore([one, two], { cache: { enabled } }, 'claude-opus-4-6')
    await using gateway = at.gateway

    const response = await gateway.chat({ stream: true })
    const reader = response.body?.getReader()
    let read = ''
    while (!read.includes('end')) read += new TextDecoder().decode((await reader?.read())?.value)
    await reader?.cancel()

    // 40 characters were said.
    const usage = { input: 40, cache_read: 0, output: 12, estimated: true }
    expect((await reported(gateway)).report).toMatchObject({ outcome: 'cancelled', usage })
  })

  test('leaves the count to the server that goes on', async () => {
    await using one = await startModelServer(sse([...cut, reset()] as StreamItem[]))
    await using two = await startModelServer(sse([...said('It was a dark and stormy night. The end.'), ...end]))
    const at = await gatewayBefore([one, two], {}, 'claude-opus-4-6')
    await using gateway = at.gateway

    const response = await gateway.chat({ stream: true })
    await response.text()
    const { report } = await reported(gateway)

    expect(report).toMatchObject({
      outcome: 'recovered',
      usage: { input: 40, cache_read: 0, output: 9, estimated: false },
    })
  })
})

test('models come from every page of the list', async () => {
  const page = (ids: readonly string[], has_more: boolean) =>
    json(200, { data: ids.map(id => ({ type: 'model', id })), has_more, last_id: ids.at(-1) })
  await using api = await startUpstream(({ path }) =>
    path.includes('after_id=claude-b') ? page(['claude-c'], false) : page(['claude-a', 'claude-b'], true),
  )
  await using gateway = await startGateway({
    servers: [{ id: 'claude', kind: 'anthropic', base_url: api.url, api_key: SERVER_KEY }],
  })
  await gateway.gateway.found

  const listed = (await (await fetch(`${gateway.url}/v1/models`)).json()) as { readonly data: { id: string }[] }

  expect(listed.data.map(model => model.id).sort()).toEqual(['claude-a', 'claude-b', 'claude-c'])
  expect(api.requests.every(request => request.headers['x-api-key'] === SERVER_KEY)).toBe(true)
})

function withoutTime(text: string): string {
  return text.replace(/"created":\d+/g, '')
}
