import { listAlone } from '../openai_compatible/catalog.ts'
import { openaiCompatible } from '../openai_compatible/index.ts'
import type { Provider } from '../provider.ts'
import { parameters, toDemoRequest } from './request.ts'
import { DEMO_ADDRESS } from './transport.ts'

const { capabilities } = openaiCompatible

/** The built-in demonstration model, so that a first request works on a machine with nothing.
 *
 * It speaks OpenAI's format through a transport of its own, for addresses of the scheme `demo:`. */
export const demo: Provider = {
  ...openaiCompatible,
  name: 'demo',
  capabilities: {
    ...capabilities,
    vision: false,
    audio: false,
    reasoning: false,
    logprobs: false,
    several_choices: false,
    prefill: false,
  },
  parameters,
  defaultBaseUrl: DEMO_ADDRESS,
  normalizeBaseUrl: () => DEMO_ADDRESS,
  encode: toDemoRequest,
  catalog: listAlone,
}
