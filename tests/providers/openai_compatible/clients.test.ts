import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import OpenAI from 'openai'
import { openaiCompatible } from '#providers/openai_compatible/index.ts'
import { callOf, contentOf, endpointOf, isModelCall, replay, textsOf } from '#tests/providers/replay.ts'
import { type RecordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

const streams = ['openai', 'openai-compatible', 'deepseek']
  .flatMap(recordedCases)
  .filter(each => each.streamed && each.status === 200 && isModelCall(each) && endpointOf(each) === 'chat')
  .filter(({ name }) => !/error|tgi/.test(name))
  .map(each => [each.name, each] as const)

/** A `fetch` that answers as the gateway would with this recorded stream behind it. */
function fetchOf(recorded: RecordedCase, usage: boolean) {
  const { frames } = replay(openaiCompatible, callOf(recorded, { wantsUsage: usage }), recorded.text)
  const body = `${textsOf(frames, usage).join('')}data: [DONE]\n\n`
  const answer = async () => new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  return { fetch: Object.assign(answer, { preconnect: () => {} }), content: contentOf(frames) }
}

describe.skipIf(sharedDir() === null)('recorded streams are read by', () => {
  test.each(streams)("OpenAI's own client: %s", async (_, recorded) => {
    const { fetch, content } = fetchOf(recorded, false)
    const client = new OpenAI({ apiKey: 'test', baseURL: 'http://gateway.test/v1', fetch })

    const stream = client.chat.completions.stream({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] })
    const completion = await stream.finalChatCompletion()

    const texts = completion.choices.map(choice => choice.message.content ?? '')
    expect(texts.join('')).toHaveLength(content.length)
    for (const choice of completion.choices) expect(choice.finish_reason).toBeString()
  })

  test.each(streams.filter(([name]) => !name.includes('n2')))('the AI SDK: %s', async (_, recorded) => {
    const { fetch, content } = fetchOf(recorded, true)
    const model = createOpenAICompatible({ name: 'gateway', baseURL: 'http://gateway.test/v1', fetch }).chatModel('m')

    const { stream } = await model.doStream({ prompt: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }] })
    const parts = await Array.fromAsync(stream)

    const texts = parts.map(part => (part.type === 'text-delta' ? part.delta : ''))
    expect(parts.filter(part => part.type === 'error')).toEqual([])
    expect(parts.filter(part => part.type === 'finish')).toHaveLength(1)
    expect(texts.join('')).toBe(content)
  })
})
