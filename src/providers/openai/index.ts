import { openaiCompatible } from '../openai_compatible/index.ts'
import type { Provider } from '../provider.ts'

const { catalog } = openaiCompatible

/** OpenAI's own service: it has an address, and no `/health`. */
export const openai: Provider = {
  ...openaiCompatible,
  name: 'openai',
  defaultBaseUrl: 'https://api.openai.com/v1',
  catalog: { ...catalog, probes: server => [catalog.list(server, server.secrets[0] ?? null)] },
}
