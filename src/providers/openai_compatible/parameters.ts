import { type Parameters, parametersWith } from '../parameters.ts'

/** The count of a stream is asked for whether the caller does or not. */
export const STREAM_OPTIONS = {
  treatment: 'converted',
  note: '`include_usage` is always asked for; the count goes to callers who asked',
} as const

/** What becomes of each parameter at a server of which nothing else is known; named services differ. */
export const parameters: Parameters = parametersWith({
  chat: {
    messages: { treatment: 'converted', note: 'the role `developer` becomes `system`' },
    max_completion_tokens: { treatment: 'renamed', to: 'max_tokens' },
    stream_options: STREAM_OPTIONS,
  },
  completions: { stream_options: STREAM_OPTIONS },
})
