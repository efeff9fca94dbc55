import { z } from 'zod'
import { message, reasoningDetails, toolCall } from './messages.ts'
import { routing, sampling } from './sampling.ts'
import { responseFormat, tool, toolChoice } from './tools.ts'
import { usage } from './usage.ts'

/** The body of `POST /v1/chat/completions`. */
export const chatRequest = z
  .looseObject({
    ...routing,
    messages: z.array(message).min(1).describe('The conversation so far, oldest message first.'),
    ...sampling,
    max_completion_tokens: z.int().nullish().describe('The longest answer in tokens, reasoning included.'),
    max_tokens: z.int().nullish().describe('The older name of `max_completion_tokens`; most servers know it.'),
    tools: z.array(tool).optional().describe('What the model may ask to call.'),
    tool_choice: toolChoice.optional(),
    parallel_tool_calls: z.boolean().optional().describe('Whether one answer may ask for several calls.'),
    functions: z
      .array(z.looseObject({ name: z.string() }))
      .nullish()
      .meta({ description: 'The older form of `tools`.', deprecated: true }),
    function_call: z
      .union([z.enum(['none', 'auto']), z.looseObject({ name: z.string() })])
      .nullish()
      .meta({ description: 'The older form of `tool_choice`.', deprecated: true }),
    response_format: responseFormat.optional(),
    reasoning_effort: z
      .string()
      .nullish()
      .meta({ description: 'How much the model thinks.', examples: ['none', 'minimal', 'low', 'medium', 'high'] }),
    verbosity: z
      .string()
      .nullish()
      .meta({ description: 'How long the answer is.', examples: ['low', 'medium', 'high'] }),
    modalities: z
      .array(z.string())
      .nullish()
      .meta({ description: 'What the answer may consist of.', examples: [['text'], ['text', 'audio']] }),
    audio: z.looseObject({}).nullish().describe('The voice and the format of an answer that is heard.'),
    prediction: z.looseObject({}).nullish().describe('Text that much of the answer will repeat, to be quicker.'),
    web_search_options: z.looseObject({}).nullish().describe('Lets the model look things up, where it can.'),
    logprobs: z.boolean().nullish().describe('Whether the answer tells how likely each token was.'),
    top_logprobs: z.int().min(0).max(20).nullish().describe('For each token this many alternatives.'),
    metadata: z.record(z.string(), z.string()).nullish().describe('Up to 16 pairs, passed on to the model server.'),
    safety_identifier: z
      .string()
      .nullish()
      .describe('The newer name of `user`: where both are given, limits and reports go by this one.'),
    store: z
      .boolean()
      .nullish()
      .describe('Whether the provider keeps the answer. With `true` it is never shared, nor asked for twice.'),
    service_tier: z.string().nullish().describe('How soon the provider answers, and at which price.'),
    prompt_cache_key: z.string().nullish().describe('Tells the prompt cache of the provider what belongs together.'),
  })
  .meta({
    id: 'ChatCompletionRequest',
    description: 'A conversation to continue. Fields that are not listed here are passed on to the model server.',
  })

const finishReason = z.string().meta({
  description: 'Why it ended.',
  examples: ['stop', 'length', 'tool_calls', 'content_filter'],
})

const logprobs = z.looseObject({}).nullish().describe('How likely each token was, when asked for.')

const answer = z.looseObject({
  role: z.literal('assistant'),
  content: z.string().nullable().describe('The text; null when the model only calls tools.'),
  refusal: z.string().nullish().describe('Why the model refused, when it did.'),
  reasoning_content: z.string().nullish().describe('What the model thought, from servers that tell.'),
  reasoning_details: reasoningDetails.describe('The same with its signatures, from servers that want it back.'),
  tool_calls: z.array(toolCall).optional().describe('The calls that the model asks for.'),
})

const choice = z
  .looseObject({
    index: z.int().describe('From 0 to `n` − 1.'),
    message: answer,
    finish_reason: finishReason,
    logprobs,
  })
  .meta({ id: 'ChatCompletionChoice' })

const head = {
  id: z.string().describe('The id that the model server gave to the answer.'),
  created: z.int().describe('When, in Unix seconds.'),
  model: z.string().describe('The name of the model at the server. `x-citadel-model` has the public name.'),
  system_fingerprint: z.string().nullish().describe('The version of the model server, from servers that tell.'),
}

/** The plain answer of `POST /v1/chat/completions`. */
export const chatResponse = z
  .looseObject({
    object: z.literal('chat.completion'),
    ...head,
    choices: z.array(choice),
    usage: usage.optional(),
  })
  .meta({ id: 'ChatCompletion', description: 'A whole answer.' })

const toolCallDelta = z.looseObject({
  index: z.int().describe('Which call this piece belongs to.'),
  id: z.string().optional().describe('In the first piece of a call.'),
  type: z.string().optional().describe('In the first piece of a call.'),
  function: z
    .looseObject({
      name: z.string().optional().describe('In the first piece of a call.'),
      arguments: z.string().optional().describe('The next piece of the JSON text.'),
    })
    .optional(),
})

const delta = z.looseObject({
  role: z.string().optional().describe('In the first chunk of a choice: `assistant`.'),
  content: z.string().nullish().describe('The next piece of the text.'),
  refusal: z.string().nullish().describe('The next piece of a refusal.'),
  reasoning_content: z.string().nullish().describe('The next piece of what the model thought.'),
  reasoning_details: reasoningDetails.describe('All thoughts with their signatures, once, before the finish.'),
  tool_calls: z.array(toolCallDelta).optional().describe('The next pieces of tool calls.'),
})

const chunkChoice = z.looseObject({
  index: z.int().describe('Which answer this piece belongs to.'),
  delta,
  finish_reason: finishReason.nullish().describe('Null until the last chunk of the choice; then why it ended.'),
  logprobs,
})

/** One event of the streamed answer of `POST /v1/chat/completions`. */
export const chatChunk = z
  .looseObject({
    object: z.literal('chat.completion.chunk'),
    ...head,
    choices: z.array(chunkChoice).describe('Empty in the chunk that carries `usage`.'),
    usage: usage.nullish().describe('Of the whole answer, in the last chunk, when `include_usage` was asked for.'),
  })
  .meta({ id: 'ChatCompletionChunk', description: 'One piece of a streamed answer.' })
