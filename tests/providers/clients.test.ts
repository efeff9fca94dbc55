import { describe, expect, test } from 'bun:test'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { embedMany, generateText, streamText } from 'ai'
import OpenAI from 'openai'
import { GatewayError } from '#core/errors.ts'
import { PROVIDERS } from '#providers/index.ts'
import { callOf, contentOf, endpointOf, inputsIn, isModelCall, replay, textsOf } from '#tests/providers/replay.ts'
import { type RecordedCase, recordedCases } from '#tests/support/recorded.ts'
import { sharedDir } from '#tests/support/shared.ts'

/** Recorded failing, or without their last events. */
const BROKEN = /error|tgi\/chat-stream|prompt-filtered/

const cases = ['openai', 'openai-compatible', 'deepseek', 'ollama']
  .flatMap(recordedCases)
  .filter(each => each.status === 200 && isModelCall(each) && !BROKEN.test(each.name))
  .map(each => [each.name, each] as const)
const of = (endpoint: string, streamed: boolean) =>
  cases.filter(([, each]) => endpointOf(each) === endpoint && each.streamed === streamed)

function providerOf({ name }: RecordedCase) {
  const provider = PROVIDERS.get((name.split('/')[0] ?? '').replace('-', '_'))
  if (provider === undefined) throw new Error(`${name} is of no provider`)
  return provider
}

/** What the gateway answers with this recorded server behind it. */
function answerOf(recorded: RecordedCase, usage: boolean) {
  const provider = providerOf(recorded)
  const asked = callOf(recorded, { wantsUsage: usage })
  if (recorded.streamed) {
    const { frames } = replay(provider, asked, recorded.text)
    const content = contentOf(frames)
    return { content, spoken: content, body: `${textsOf(frames, usage).join('')}data: [DONE]\n\n` }
  }
  const answer = provider.decode(asked, recorded.text)
  if (answer instanceof GatewayError) throw answer
  const messages = (answer.chunk.choices ?? []).map(({ message }) => message)
  const content = messages.map(message => message?.content ?? '').join('')
  return { content, spoken: content || messages.map(message => message?.refusal ?? '').join(''), body: answer.text }
}

function clientsOf(recorded: RecordedCase, usage = false) {
  const { body, content, spoken } = answerOf(recorded, usage)
  const type = recorded.streamed ? 'text/event-stream' : 'application/json'
  const answer = async () => new Response(body, { headers: { 'content-type': type } })
  const fetch = Object.assign(answer, { preconnect: () => {} })
  const baseURL = 'http://gateway.test/v1'
  return {
    content,
    /** The content; to some clients a refusal is text too. */
    spoken,
    openai: new OpenAI({ apiKey: 'test', baseURL, fetch, maxRetries: 0 }),
    ai: createOpenAICompatible({ name: 'gateway', baseURL, fetch }),
  }
}

const messages = [{ role: 'user' as const, content: 'Hi' }]

describe.skipIf(sharedDir() === null)("OpenAI's own client reads", () => {
  test.each(of('chat', true))('the stream %s', async (_, recorded) => {
    const { openai, content } = clientsOf(recorded)

    const completion = await openai.chat.completions.stream({ model: 'm', messages }).finalChatCompletion()

    const texts = completion.choices.map(choice => choice.message.content ?? '')
    expect(texts.join('')).toHaveLength(content.length)
    for (const choice of completion.choices) expect(choice.finish_reason).toBeString()
  })

  test.each(of('chat', false))('the answer %s', async (_, recorded) => {
    const { openai, content } = clientsOf(recorded)

    const { choices, usage } = await openai.chat.completions.create({ model: 'm', messages })

    expect(choices.map(({ message }) => message.content ?? '').join('')).toBe(content)
    for (const { message } of choices) {
      for (const call of message.tool_calls ?? []) {
        expect(call.type === 'function' && JSON.parse(call.function.arguments)).toBeObject()
      }
    }
    if (recorded.name !== 'ollama/chat-load') expect(usage?.total_tokens).toBeGreaterThan(0)
  })

  test.each(of('completions', false))('the completion %s', async (_, recorded) => {
    const { choices } = await clientsOf(recorded).openai.completions.create({ model: 'm', prompt: 'Hi' })

    expect(choices.length).toBeGreaterThan(0)
    for (const { text } of choices) expect(text).toBeString()
  })

  test.each(of('embeddings', false))('the vectors %s', async (_, recorded) => {
    const { data } = await clientsOf(recorded).openai.embeddings.create({
      model: 'm',
      input: 'Hi',
      encoding_format: callOf(recorded).body.encoding_format === 'base64' ? 'base64' : 'float',
    })

    expect(data).toHaveLength(inputsIn(recorded))
  })
})

describe.skipIf(sharedDir() === null)('the AI SDK reads', () => {
  const single = ([name]: readonly [string, RecordedCase]) => !name.includes('n2')

  test.each(of('chat', true).filter(single))('the stream %s', async (_, recorded) => {
    const { ai, content } = clientsOf(recorded, true)

    const parts = await Array.fromAsync(streamText({ model: ai.chatModel('m'), prompt: 'Hi', maxRetries: 0 }).stream)

    expect(parts.filter(part => part.type === 'error')).toEqual([])
    expect(parts.filter(part => part.type === 'finish')).toHaveLength(1)
    expect(parts.map(part => (part.type === 'text-delta' ? part.text : '')).join('')).toBe(content)
  })

  test.each(of('chat', false).filter(single))('the answer %s', async (_, recorded) => {
    const { ai, spoken } = clientsOf(recorded)

    const { text, finishReason } = await generateText({ model: ai.chatModel('m'), prompt: 'Hi', maxRetries: 0 })

    expect(text).toBe(spoken)
    expect(finishReason).not.toBe('other')
  })

  test.each(of('embeddings', false).filter(([name]) => !name.includes('base64')))(
    'the vectors %s',
    async (_, recorded) => {
      const values = Array.from({ length: inputsIn(recorded) }, () => 'Hi')

      const { embeddings } = await embedMany({
        model: clientsOf(recorded).ai.embeddingModel('m'),
        values,
        maxRetries: 0,
      })

      expect(embeddings).toHaveLength(values.length)
    },
  )
})
