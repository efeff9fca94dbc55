import { type Parameters, parametersWith } from '../parameters.ts'

/** The treatment of `stream_options`: the usage of a stream is asked for whether the caller does or not. */
export const STREAM_OPTIONS = {
  treatment: 'converted',
  note: '`include_usage` is always asked for; the count goes to callers who asked',
} as const

/** The treatment of each parameter at a server that is no known service. */
export const parameters: Parameters = parametersWith({
  chat: {
    messages: { treatment: 'converted', note: 'the role `developer` becomes `system`' },
    max_completion_tokens: { treatment: 'renamed', to: 'max_tokens' },
    stream_options: STREAM_OPTIONS,
  },
  completions: { stream_options: STREAM_OPTIONS },
})
