import { z } from 'zod'

const textPart = z
  .looseObject({ type: z.literal('text'), text: z.string().describe('The text.') })
  .meta({ id: 'TextPart', description: 'A piece of text.' })

const imagePart = z
  .looseObject({
    type: z.literal('image_url'),
    image_url: z.looseObject({
      url: z.string().describe('An https address or a `data:` URL with the image in base64.'),
      detail: z.enum(['auto', 'low', 'high']).optional().describe('How closely the model looks at it.'),
    }),
  })
  .meta({ id: 'ImagePart', description: 'An image, for models that can see.' })

const audioPart = z
  .looseObject({
    type: z.literal('input_audio'),
    input_audio: z.looseObject({
      data: z.string().describe('The recording in base64.'),
      format: z.string().meta({ description: 'Its encoding.', examples: ['wav', 'mp3'] }),
    }),
  })
  .meta({ id: 'AudioPart', description: 'A recording, for models that can hear.' })

const filePart = z
  .looseObject({
    type: z.literal('file'),
    file: z.looseObject({
      filename: z.string().optional().describe('The name of the file.'),
      file_data: z.string().optional().describe('The file as a `data:` URL.'),
      file_id: z.string().optional().describe('The id of a file that the model server keeps.'),
    }),
  })
  .meta({ id: 'FilePart', description: 'A document, for models that read files.' })

const otherPart = z
  .looseObject({ type: z.string() })
  .meta({ id: 'OtherPart', description: 'Any other kind of part; it is passed on as it is.' })

const userContent = z
  .union([z.string(), z.array(z.union([textPart, imagePart, audioPart, filePart, otherPart])).min(1)])
  .describe('Text, or a list of parts.')

const textContent = z
  .union([z.string(), z.array(z.union([textPart, otherPart])).min(1)])
  .describe('Text, or a list of text parts.')

/** A call of a function that the model asks for. */
export const toolCall = z
  .looseObject({
    id: z.string().describe('The answer to the call repeats it as `tool_call_id`.'),
    type: z.string().meta({ description: 'The kind of tool.', examples: ['function', 'custom'] }),
    function: z
      .looseObject({
        name: z.string().describe('The function to call.'),
        arguments: z.string().describe('Its arguments as JSON text. Models make mistakes: check before use.'),
      })
      .optional()
      .describe('What to call, when `type` is `function`.'),
  })
  .meta({ id: 'ToolCall', description: 'A call that the model asks for.' })

const name = z.string().optional().describe('Tells several speakers of the same role apart.')

const instructions = (role: 'system' | 'developer') =>
  z.looseObject({ role: z.literal(role), content: textContent, name })

const systemMessage = instructions('system').meta({ id: 'SystemMessage', description: 'How the model shall behave.' })

const developerMessage = instructions('developer').meta({
  id: 'DeveloperMessage',
  description: 'How the model shall behave, in the word that newer models use for it.',
})

const userMessage = z
  .looseObject({ role: z.literal('user'), content: userContent, name })
  .meta({ id: 'UserMessage', description: 'What the user says.' })

/** Thoughts of an earlier answer, as they came. */
export const reasoningDetails = z.array(z.looseObject({ type: z.string() })).optional()

const assistantMessage = z
  .looseObject({
    role: z.literal('assistant'),
    content: textContent.nullish().describe('What the model said; may be null beside `tool_calls`.'),
    refusal: z.string().nullish().describe('The refusal of the model, when it refused.'),
    tool_calls: z.array(toolCall).optional().describe('The calls that it asked for.'),
    reasoning_details: reasoningDetails.describe('Its thoughts as they came: some models go on from them.'),
    name,
  })
  .meta({ id: 'AssistantMessage', description: 'An earlier answer of the model.' })

const toolMessage = z
  .looseObject({
    role: z.literal('tool'),
    tool_call_id: z.string().describe('Which call this answers.'),
    content: textContent,
  })
  .meta({ id: 'ToolMessage', description: 'The result of a tool call.' })

const functionMessage = z
  .looseObject({ role: z.literal('function'), name: z.string(), content: z.string().nullable() })
  .meta({ id: 'FunctionMessage', description: 'The result of a function call in the older form.', deprecated: true })

/** One message of a conversation. */
export const message = z
  .discriminatedUnion('role', [
    systemMessage,
    developerMessage,
    userMessage,
    assistantMessage,
    toolMessage,
    functionMessage,
  ])
  .meta({ id: 'Message', description: 'One message of the conversation.' })
