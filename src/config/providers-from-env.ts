import { type Environment, readVariable } from './env.ts'
import { parseServer, type ServerConfig } from './schema.ts'

/** A key that was found for a provider that cannot be used by its key alone. */
interface PendingProvider {
  readonly variable: string
  readonly provider: string
}

interface ProvidersFromEnv {
  readonly found: readonly ServerConfig[]
  readonly pending: readonly PendingProvider[]
  /** The address of a local Ollama when `OLLAMA_HOST` names one. */
  readonly ollama: string | null
  readonly warnings: readonly string[]
}

// All of these speak the dialect of OpenAI at an address of their own.
const compatible: readonly (readonly [variable: string, id: string, baseUrl: string])[] = [
  ['GROQ_API_KEY', 'groq', 'https://api.groq.com/openai/v1'],
  ['MISTRAL_API_KEY', 'mistral', 'https://api.mistral.ai/v1'],
  ['OPENROUTER_API_KEY', 'openrouter', 'https://openrouter.ai/api/v1'],
  ['XAI_API_KEY', 'xai', 'https://api.x.ai/v1'],
  ['TOGETHER_API_KEY', 'together', 'https://api.together.xyz/v1'],
  ['FIREWORKS_API_KEY', 'fireworks', 'https://api.fireworks.ai/inference/v1'],
  ['PERPLEXITY_API_KEY', 'perplexity', 'https://api.perplexity.ai/v1'],
  ['CEREBRAS_API_KEY', 'cerebras', 'https://api.cerebras.ai/v1'],
  ['NVIDIA_API_KEY', 'nvidia', 'https://integrate.api.nvidia.com/v1'],
  ['SAMBANOVA_API_KEY', 'sambanova', 'https://api.sambanova.ai/v1'],
  ['MOONSHOT_API_KEY', 'moonshot', 'https://api.moonshot.ai/v1'],
]

// These speak a dialect of their own, at its own address; the first variable that is set counts.
const native: readonly (readonly [kind: ServerConfig['kind'], ...variables: string[]])[] = [
  ['gemini', 'GEMINI_API_KEY', 'GOOGLE_API_KEY'],
  ['deepseek', 'DEEPSEEK_API_KEY'],
]

// The address and the names of the deployments are the operator's own.
const incomplete: readonly (readonly [provider: string, ...variables: string[]])[] = [
  ['Azure OpenAI', 'AZURE_OPENAI_API_KEY'],
]

/** Finds the providers whose own variables are set, for a gateway that has nothing configured. */
export function providersFromEnv(env: Environment): ProvidersFromEnv {
  const warnings: string[] = []
  const own = [openaiServer(env, warnings), anthropicServer(env, warnings)].filter(server => server !== null)
  const others = compatible.flatMap(([variable, id, base_url]) => {
    const key = readVariable(env, variable)
    return key === null ? [] : [parseServer({ id, kind: 'openai_compatible', base_url, api_key: key })]
  })
  const natives = native.flatMap(([kind, ...variables]) => {
    const key = variables.map(name => readVariable(env, name)).find(value => value !== null)
    return key ? [parseServer({ id: kind, kind, api_key: key })] : []
  })
  const pending = incomplete.flatMap(([provider, ...variables]) => {
    const variable = variables.find(name => readVariable(env, name) !== null)
    return variable === undefined ? [] : [{ variable, provider }]
  })
  const ollama = ollamaAddress(readVariable(env, 'OLLAMA_HOST'))
  return { found: [...own, ...natives, ...others], pending, ollama, warnings }
}

function openaiServer(env: Environment, warnings: string[]): ServerConfig | null {
  const key = readVariable(env, 'OPENAI_API_KEY')
  const address = readVariable(env, 'OPENAI_BASE_URL')
  if (address !== null && !isPlainHttpUrl(address)) {
    // Falling back to the public address would send the key where it was not meant to go.
    warnings.push('environment  OPENAI_BASE_URL: ignored together with OPENAI_API_KEY, it is no http address')
    return null
  }
  if (key !== null)
    return parseServer({ id: 'openai', kind: 'openai', base_url: address, api_key: key, headers: accountHeaders(env) })
  // Local servers are used through the SDK of OpenAI with an address and no key.
  return address === null ? null : parseServer({ id: 'openai', kind: 'openai_compatible', base_url: address })
}

function anthropicServer(env: Environment, warnings: string[]): ServerConfig | null {
  const key = readVariable(env, 'ANTHROPIC_API_KEY')
  const address = readVariable(env, 'ANTHROPIC_BASE_URL')
  if (key === null) return null
  if (address !== null && !isPlainHttpUrl(address)) {
    warnings.push('environment  ANTHROPIC_BASE_URL: ignored together with ANTHROPIC_API_KEY, it is no http address')
    return null
  }
  return parseServer({ id: 'anthropic', kind: 'anthropic', base_url: address, api_key: key })
}

function accountHeaders(env: Environment): Record<string, string> {
  const organization = readVariable(env, 'OPENAI_ORG_ID') ?? readVariable(env, 'OPENAI_ORGANIZATION')
  const project = readVariable(env, 'OPENAI_PROJECT_ID')
  return {
    ...(organization === null ? {} : { 'openai-organization': organization }),
    ...(project === null ? {} : { 'openai-project': project }),
  }
}

// The variable also tells Ollama where to listen, so it may lack a scheme or port, or name all addresses.
function ollamaAddress(host: string | null): string | null {
  if (host === null) return null
  const url = URL.parse(
    /^https?:\/\//i.test(host) ? host : `http://${host.startsWith(':') ? `127.0.0.1${host}` : host}`,
  )
  if (!url || !isPlainHttpUrl(url.href)) return null
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1'
  if (url.hostname === '[::]') url.hostname = '[::1]'
  const portless = url.port === '' && !/:\d+\/?$/.test(host) && url.protocol === 'http:'
  if (portless) url.port = '11434'
  return url.href.replace(/\/$/, '')
}

function isPlainHttpUrl(text: string): boolean {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) return false
  return url.username === '' && url.password === '' && url.search === '' && url.hash === ''
}
