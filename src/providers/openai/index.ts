import { listAlone } from '../openai_compatible/catalog.ts'
import { openaiCompatible } from '../openai_compatible/index.ts'
import { STREAM_OPTIONS } from '../openai_compatible/parameters.ts'
import { parametersWith } from '../parameters.ts'
import type { Provider } from '../provider.ts'

const { capabilities } = openaiCompatible

/** OpenAI's own service: it has an address, and no `/health`. */
export const openai: Provider = {
  ...openaiCompatible,
  name: 'openai',
  // Its API starts every answer anew, and keeps the thinking to itself.
  capabilities: { ...capabilities, prefill: false, reasoning: false },
  parameters: parametersWith({
    chat: { max_tokens: { treatment: 'renamed', to: 'max_completion_tokens' }, stream_options: STREAM_OPTIONS },
    completions: { stream_options: STREAM_OPTIONS },
  }),
  defaultBaseUrl: 'https://api.openai.com/v1',
  catalog: listAlone,
}
