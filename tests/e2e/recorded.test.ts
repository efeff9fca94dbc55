import { describe, expect, test } from 'bun:test'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { endpointOf, isModelCall } from '#tests/providers/replay.ts'
import { startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { playRecorded, type RecordedCase, recordedCases } from '#tests/support/recorded.ts'
import { eventBoundarySplits, seededSplits } from '#tests/support/splits.ts'
import { strictProblems } from '#tests/support/strict-chunks.ts'
import { ndjson, type Script, type StreamOptions } from '#tests/support/upstream.ts'

const SEEDED_SPLITS = 20
const cases = ['openai', 'ollama'].flatMap(recordedCases).filter(isModelCall)
const plain = cases.filter(recorded => recorded.status === 200 && !recorded.streamed)
const streams = cases.filter(recorded => recorded.streamed && recorded.status === 200 && !isError(recorded))
const errors = cases.filter(recorded => recorded.status >= 400 || isError(recorded))

describe.each(plain)('$name over a socket', recorded => {
  test('is the answer that the server gave', async () => {
    await using played = await play(recorded)

    const response = await played.ask()
    const answer = (await response.json()) as JsonObject

    expect(response.status).toBe(200)
    if (recorded.provider === 'openai' && endpointOf(recorded) !== 'embeddings')
      expect<unknown>(answer).toEqual(recorded.body)
    expect(textsIn(answer)).toEqual(textsIn(recorded.body))
    expect(await played.gateway.logged({ outcome: 'ok' })).toMatchObject({ status: 200, attempts: 1 })
  })
})

describe.each(streams)('$name over a socket', recorded => {
  const completions = endpointOf(recorded) === 'completions'

  for (const usage of [false, true]) {
    test(`is a stream that a strict client reads, ${usage ? 'with' : 'without'} usage`, async () => {
      await using played = await play(recorded)

      const response = await played.ask({ stream: true, stream_options: { include_usage: usage } })
      const events = (await response.text()).split(/(?<=\n\n)/)

      expect(events.pop()).toBe('data: [DONE]\n\n')
      expect(strictProblems(events, { completions, usage })).toEqual([])
      expect(events.map(contentOf).join('')).toBe(recorded.text.split('\n').map(contentOf).join(''))
    })
  }
})

for (const recorded of streams.filter(({ text }) => text.length < 6000)) {
  test(`${recorded.name} is the same stream wherever its bytes are split`, async () => {
    const splits = [...eventBoundarySplits(recorded.text), ...seededSplits(recorded.text, SEEDED_SPLITS, 1)]
    await using played = await play(recorded, request => stepsOf(recorded, { split: splits[request.index - 1] }))

    const whole = await (await played.ask({ stream: true })).text()
    const answers = await Promise.all(splits.map(async () => (await played.ask({ stream: true })).text()))

    expect(whole).toEndWith('data: [DONE]\n\n')
    expect(new Set(answers.map(withoutIds))).toEqual(new Set([withoutIds(whole)]))
  })
}

describe.each(errors)('$name over a socket', recorded => {
  test('is an error in the format of OpenAI', async () => {
    await using played = await play(recorded)

    const response = await played.ask({ stream: recorded.streamed })
    const { error } = (await response.json()) as { readonly error: JsonObject }

    expect([response.status, error.code]).toEqual(expectedError(recorded))
    expect(Object.keys(error)).toEqual(expect.arrayContaining(['message', 'type', 'param', 'code']))
  })
})

/** A gateway before one server that answers as the recorded one did. */
async function play(recorded: RecordedCase, script: Script = stepsOf(recorded)) {
  const server = await startModelServer(script)
  const asked = isObject(recorded.request) ? recorded.request : {}
  const model = typeof asked.model === 'string' ? asked.model : 'recorded'
  const gateway: TestGateway = await startGateway({
    servers: [{ id: 'a', kind: recorded.provider, base_url: server.url, api_key: 'sk-test' }],
    models: { [model]: { targets: [{ server: 'a', model }] } },
  })
  const endpoint = endpointOf(recorded)
  const body = recorded.provider === 'openai' && recorded.request !== null ? asked : usualBody(endpoint, asked)
  const ask = (more: JsonObject = {}) =>
    fetch(`${gateway.url}/v1/${endpoint === 'chat' ? 'chat/completions' : endpoint}`, {
      method: 'POST',
      body: JSON.stringify({ ...body, ...more, model }),
    })
  return {
    gateway,
    ask,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

/** What a recorded server of another dialect was asked, in OpenAI's words as far as its answer depends on it. */
function usualBody(endpoint: string, asked: JsonObject): JsonObject {
  if (endpoint === 'chat') return { messages: [{ role: 'user', content: 'Hi' }] }
  return endpoint === 'embeddings' ? { input: asked.input ?? 'Hi' } : { prompt: 'Hi' }
}

function stepsOf(recorded: RecordedCase, options: StreamOptions = {}) {
  if (recorded.streamed && recorded.provider === 'ollama') return ndjson(recorded.text, options)
  return playRecorded(recorded, options)
}

function isError(recorded: RecordedCase): boolean {
  return recorded.streamed && /^data: \{"error"/.test(recorded.text)
}

/** Credentials are the gateway's, so that a refusal of them is no 401; an error under 200 is a server that failed. */
function expectedError(recorded: RecordedCase): JsonValue[] {
  if (recorded.status === 401) return [502, 'upstream_auth_failed']
  if (recorded.status === 404) return [404, 'model_not_found']
  if (recorded.status === 200) return [503, 'all_targets_failed']
  return [400, recorded.text.includes('"unsupported_parameter"') ? 'unsupported_parameter' : 'invalid_request']
}

/** All content of an answer of either dialect, in order. */
function textsIn(answer: unknown): string[] {
  if (!isObject(answer)) return []
  const choices = Array.isArray(answer.choices) ? answer.choices.filter(isObject) : [answer]
  return choices.map(choice => {
    const message = isObject(choice.message) ? choice.message : {}
    return String(message.content ?? choice.text ?? choice.response ?? '')
  })
}

/** The content of one event or line of either dialect. */
function contentOf(event: string): string {
  const json = /\{.*\}/.exec(event)?.[0]
  if (json === undefined) return ''
  const chunk = JSON.parse(json) as JsonObject
  const [choice] = Array.isArray(chunk.choices) ? chunk.choices : [chunk]
  if (!isObject(choice)) return ''
  const delta = isObject(choice.delta) ? choice.delta : isObject(choice.message) ? choice.message : {}
  return String(delta.content ?? choice.text ?? '')
}

/** Ids that the gateway makes where a server has none differ from answer to answer. */
function withoutIds(text: string): string {
  return text.replace(/"(?:id|created)":(?:"[^"]*"|\d+)/g, '')
}
