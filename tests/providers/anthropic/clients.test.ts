import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import OpenAI from 'openai'
import { GatewayError } from '#core/errors.ts'
import { answers, anthropic, askedFor, streams } from '#tests/providers/anthropic/cases.ts'
import { contentOf, dataFrames, replay, textsOf } from '#tests/providers/replay.ts'
import type { RecordedCase } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

const named = (cases: readonly RecordedCase[]) => cases.map(each => [each.name, each] as const)

/** A `fetch` that answers as the gateway would with this recorded server behind it. */
function fetchOf(recorded: RecordedCase, usage = false) {
  const { body, type, content, refusal } = recorded.streamed ? streamOf(recorded, usage) : plainOf(recorded)
  const answer = async () => new Response(body, { headers: { 'content-type': type } })
  return { fetch: Object.assign(answer, { preconnect: () => {} }), content, refusal }
}

function streamOf(recorded: RecordedCase, usage: boolean) {
  const { frames } = replay(anthropic, askedFor(recorded, { wantsUsage: usage }), recorded.text)
  const body = `${textsOf(frames, usage).join('')}data: [DONE]\n\n`
  const deltas = dataFrames(frames).flatMap(frame => frame.chunk.choices?.[0]?.delta ?? [])
  const refusal = deltas.map(delta => delta.refusal ?? '').join('')
  return { body, type: 'text/event-stream', content: contentOf(frames), refusal }
}

function plainOf(recorded: RecordedCase) {
  const answer = anthropic.decode(askedFor(recorded), recorded.text)
  if (answer instanceof GatewayError) throw answer
  const { content, refusal } = answer.chunk.choices?.[0]?.message ?? {}
  const said = typeof content === 'string' ? content : ''
  return { body: answer.text, type: 'application/json', content: said, refusal: refusal ?? '' }
}

const messages = [{ role: 'user' as const, content: 'Hi' }]
const prompt = [{ role: 'user' as const, content: [{ type: 'text' as const, text: 'Hi' }] }]

describe.skipIf(sharedDir() === null)("what was recorded is read by OpenAI's own client", () => {
  test.each(named(streams))('%s', async (_, recorded) => {
    const { fetch, content } = fetchOf(recorded)
    const client = new OpenAI({ apiKey: 'test', baseURL: 'http://gateway.test/v1', fetch })

    const completion = await client.chat.completions.stream({ model: 'm', messages }).finalChatCompletion()

    expect(completion.choices[0]?.message.content).toBe(content)
    expect(completion.choices[0]?.finish_reason).toBeString()
  })

  test.each(named(answers))('%s', async (_, recorded) => {
    const { fetch, content } = fetchOf(recorded)
    const client = new OpenAI({ apiKey: 'test', baseURL: 'http://gateway.test/v1', fetch })

    const completion = await client.chat.completions.create({ model: 'm', messages })

    expect(completion.choices[0]?.message.content ?? '').toBe(content)
  })
})

describe.skipIf(sharedDir() === null)('what was recorded is read by the AI SDK', () => {
  const modelOf = (recorded: RecordedCase) => {
    const { fetch, content, refusal } = fetchOf(recorded, true)
    const provider = createOpenAICompatible({ name: 'gateway', baseURL: 'http://gateway.test/v1', fetch })
    // It shows a refusal as the text that it is.
    return { model: provider.chatModel('m'), content: content + refusal }
  }

  test.each(named(streams))('%s', async (_, recorded) => {
    const { model, content } = modelOf(recorded)

    const { stream } = await model.doStream({ prompt })
    const parts = await Array.fromAsync(stream)

    expect(parts.filter(part => part.type === 'error')).toEqual([])
    expect(parts.filter(part => part.type === 'finish')).toHaveLength(1)
    expect(parts.map(part => (part.type === 'text-delta' ? part.delta : '')).join('')).toBe(content)
  })

  test.each(named(answers))('%s', async (_, recorded) => {
    const { model, content } = modelOf(recorded)

    const { content: parts, usage } = await model.doGenerate({ prompt })

    expect(parts.map(part => (part.type === 'text' ? part.text : '')).join('')).toBe(content)
    expect(usage.outputTokens.total).toBeGreaterThan(0)
  })
})
