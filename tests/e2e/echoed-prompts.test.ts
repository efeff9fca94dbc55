import { expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents } from '#tests/support/openai-upstream.ts'
import { json, type Script, sse } from '#tests/support/upstream.ts'

const PROMPT = 'my doctor says that it is gout'
const error = { message: `cannot go on behind: ${PROMPT}`, type: 'server_error', code: 'out_of_memory', param: PROMPT }

/** How servers fail, each with the words of the caller in its own. */
const FAILURES: Readonly<Record<string, { readonly script: Script; readonly stream?: boolean }>> = {
  'HTTP 401': { script: json(401, { error }) },
  'HTTP 403': { script: json(403, { error }) },
  'HTTP 404 without a path': { script: json(404, { input: PROMPT }) },
  'HTTP 405': { script: json(405, { error }) },
  'HTTP 429': { script: json(429, { error }) },
  'HTTP 500': { script: json(500, { error }) },
  'HTTP 500 with words for a code': { script: json(500, { error: { ...error, code: PROMPT, type: PROMPT } }) },
  'HTTP 503 in one sentence': { script: json(503, { error: error.message }) },
  'HTTP 200 with an error': { script: json(200, { error }) },
  'an error instead of a stream': { script: json(200, { error }), stream: true },
  'an error in a stream': { script: sse([...chatEvents('m').slice(0, 2), { error }]), stream: true },
  'a stream of no JSON': { script: sse(Array<string>(5).fill('gout is what it is')), stream: true },
}

test.each(Object.entries(FAILURES))('%s leaves no prompt in the log', async (_, { script, stream = false }) => {
  await using server = await startModelServer(script)
  await using gateway = await startGateway(configOf([server], { retry: { max_attempts: 1 } }))
  await (await gateway.chat({ stream, messages: [{ role: 'user', content: PROMPT }] })).text()

  await gateway.logged({ path: '/v1/chat/completions' })

  expect(JSON.stringify(gateway.lines)).not.toContain('gout')
})

test('what names the failure is in the log', async () => {
  await using server = await startModelServer(json(500, { error }))
  await using gateway = await startGateway(configOf([server]))
  await (await gateway.chat()).text()

  const line = await gateway.logged({ path: '/v1/chat/completions' })

  expect(line.error).toBe('status 500, code out_of_memory, type server_error')
})
