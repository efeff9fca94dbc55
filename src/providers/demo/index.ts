import { openaiCompatible } from '../openai_compatible/index.ts'
import type { Provider } from '../provider.ts'
import { DEMO_ADDRESS } from './transport.ts'

const { catalog } = openaiCompatible

/** The built-in demonstration model, so that a first request works on a machine with nothing.
 *
 * It speaks OpenAI's format through a transport of its own, for addresses of the scheme `demo:`. */
export const demo: Provider = {
  ...openaiCompatible,
  name: 'demo',
  defaultBaseUrl: DEMO_ADDRESS,
  normalizeBaseUrl: () => DEMO_ADDRESS,
  catalog: { ...catalog, probes: server => [catalog.list(server, null)] },
}
