import { z } from 'zod'

const functionTool = z
  .looseObject({
    type: z.literal('function'),
    function: z.looseObject({
      name: z.string().max(64).describe('Letters, digits, dashes and underscores.'),
      description: z.string().optional().describe('What it does and when to call it: the model reads this.'),
      parameters: z.looseObject({}).optional().describe('Its arguments as a JSON Schema.'),
      strict: z.boolean().nullish().describe('Whether the arguments must follow the schema exactly.'),
    }),
  })
  .meta({ id: 'FunctionTool', description: 'A function that the model may ask to call.' })

const otherTool = z
  .looseObject({ type: z.string() })
  .meta({ id: 'OtherTool', description: 'Any other kind of tool; it is passed on as it is.' })

/** Something that the model may ask to call. */
export const tool = z.union([functionTool, otherTool]).meta({ id: 'Tool' })

/** Whether the model may, must or must not call tools. */
export const toolChoice = z
  .union([
    z.enum(['none', 'auto', 'required']),
    z.looseObject({ type: z.string() }).describe('`{"type": "function", "function": {"name": …}}` asks for one tool.'),
  ])
  .meta({ id: 'ToolChoice', description: '`none` without tools and `auto` with tools when absent.' })

/** The form that the answer must have. */
export const responseFormat = z
  .looseObject({
    type: z.string().meta({ description: 'The form.', examples: ['text', 'json_object', 'json_schema'] }),
    json_schema: z
      .looseObject({
        name: z.string().max(64).describe('A name for the schema.'),
        description: z.string().optional().describe('What the answer stands for: the model reads this.'),
        schema: z.looseObject({}).optional().describe('The JSON Schema.'),
        strict: z.boolean().nullish().describe('Whether the answer must follow the schema exactly.'),
      })
      .optional()
      .describe('With `json_schema`: the schema that the answer follows.'),
  })
  .meta({ id: 'ResponseFormat', description: 'Not every model server supports every form.' })
