import { z } from 'zod'

const detail = z
  .object({
    path: z.string().meta({ description: 'The place in the request.', examples: ['messages.0.role'] }),
    message: z.string().describe('What is wrong there.'),
  })
  .meta({ id: 'ErrorDetail', description: 'One problem of a request.' })

const attempt = z
  .object({
    server: z.string().describe('The id of the server that was asked.'),
    result: z.string().meta({ description: '`ok`, or the code of its failure.', examples: ['upstream_timeout'] }),
    ms: z.number().describe('How long it took.'),
  })
  .meta({ id: 'ErrorAttempt', description: 'One attempt at a model server.' })

/** The body of every error, whatever its status. In a stream it is the data of the last event. */
export const errorBody = z
  .object({
    error: z.object({
      message: z.string().describe('What went wrong, for people. It may change; programs look at `code`.'),
      type: z.string().meta({ description: 'The family of the error.', examples: ['invalid_request_error'] }),
      param: z.string().nullable().describe('The field of the request that it is about; null for none.'),
      code: z
        .string()
        .nullable()
        .meta({ description: 'What went wrong, for programs.', examples: ['model_not_found'] }),
      details: z.array(detail).optional().describe('Every problem that was found in the request.'),
      attempts: z.array(attempt).optional().describe('What was tried before the gateway gave up, in order.'),
      delivered_chars: z
        .int()
        .optional()
        .describe('Only with `stream_interrupted`: how many characters were sent before the stream broke off.'),
    }),
  })
  .meta({ id: 'Error', description: 'An error in the form that every OpenAI client understands.' })
