import { closest } from '#lib/closest.ts'
import { formatProblem, type Problem } from './problems.ts'
import { emptyMap, find, leafOf, type MapTree, type Origin, place, type Tree, treeOf } from './tree.ts'

export type Environment = Readonly<Record<string, string | undefined>>

interface VariableRule {
  readonly name: string
  readonly path: string
  /** Cluster managers set such names to addresses of their own; what is no port is ignored with a warning. */
  readonly port?: true
}

/** The variables that operators already use, and the keys that they set; of two for one key the first wins. */
export const environmentTable: readonly VariableRule[] = [
  { name: 'API_GATEWAY_HOST', path: 'service.host' },
  { name: 'GATEWAY_HOST', path: 'service.host' },
  { name: 'API_GATEWAY_PORT', path: 'service.port', port: true },
  { name: 'GATEWAY_PORT', path: 'service.port', port: true },
  { name: 'API_GATEWAY_WORKERS', path: 'service.workers' },
  { name: 'CITADEL_ENV', path: 'service.environment' },
  { name: 'API_GATEWAY_MEMORY_GB', path: 'performance.memory_limit_gb' },
  { name: 'API_GATEWAY_CPU_CORES', path: 'performance.cpu_cores' },
  { name: 'REQUEST_TIMEOUT_SECONDS', path: 'performance.request_timeout_seconds' },
  { name: 'MAX_CONCURRENT_REQUESTS', path: 'performance.max_concurrent_requests' },
  { name: 'RATE_LIMITING_ENABLED', path: 'performance.rate_limiting_enabled' },
  { name: 'RATE_LIMIT_RPS', path: 'performance.rate_limit_rps' },
  { name: 'GATEWAY_RATE_LIMIT_ENABLED', path: 'limits.enabled' },
  { name: 'GATEWAY_RATE_LIMIT_PER_MINUTE', path: 'limits.per_client.requests_per_minute' },
  { name: 'LOAD_BALANCER_ALGORITHM', path: 'load_balancer.algorithm' },
  { name: 'HEALTH_CHECK_INTERVAL', path: 'load_balancer.health_check_interval' },
  { name: 'CIRCUIT_BREAKER_THRESHOLD', path: 'load_balancer.circuit_breaker_threshold' },
  { name: 'CIRCUIT_BREAKER_TIMEOUT', path: 'load_balancer.circuit_breaker_timeout' },
  { name: 'GATEWAY_CIRCUIT_BREAKER_ENABLED', path: 'load_balancer.circuit_breaker_enabled' },
  { name: 'DEFAULT_MODEL', path: 'gateway.default_model' },
  { name: 'INTELLIGENT_ROUTING', path: 'gateway.intelligent_routing' },
  { name: 'MODEL_ROUTING_ENABLED', path: 'gateway.model_routing_enabled' },
  { name: 'COST_OPTIMIZATION_ENABLED', path: 'gateway.cost_optimization_enabled' },
  { name: 'GATEWAY_FALLBACK_ENABLED', path: 'gateway.fallback.enabled' },
  { name: 'GATEWAY_CACHE_ENABLED', path: 'cache.enabled' },
  { name: 'GATEWAY_CACHE_TTL', path: 'cache.ttl.chat' },
  { name: 'PROMETHEUS_PORT', path: 'monitoring.prometheus_port', port: true },
  { name: 'HEALTH_CHECK_ENDPOINT', path: 'monitoring.health_check_endpoint' },
  { name: 'METRICS_ENDPOINT', path: 'monitoring.metrics_endpoint' },
  { name: 'REDIS_URL', path: 'redis.url' },
  { name: 'DATABASE_URL', path: 'database.url' },
]

/** The models whose endpoint may be set without their being configured. */
const knownModels: Readonly<Record<string, string>> = {
  MIXTRAL_8X7B_ENDPOINT: 'mixtral-8x7b',
  HERMES_2_ENDPOINT: 'hermes-2',
  OPENCHAT_3_5_ENDPOINT: 'openchat-3.5',
  PHI_3_MINI_ENDPOINT: 'phi-3-mini',
}

const tableNames = new Set(environmentTable.map(rule => rule.name))
const notModels = /^(METRICS|HEALTH_CHECK|OTEL|OTEL_.*|AZURE_OPENAI)_ENDPOINT$/

interface FromEnvironment {
  /** What the variables set, to be laid over the files. */
  readonly tree: MapTree
  readonly warnings: readonly string[]
}

/** Reads the variables of the table, and `<MODEL>_ENDPOINT` for the models of the files and the known ones. */
export function readEnvironment(env: Environment, files: MapTree): FromEnvironment {
  const warnings: string[] = []
  let tree = emptyMap(originOf(''))
  const warn = (name: string, message: string) => warnings.push(formatProblem(problemOf(name, message)))
  for (const { name, path, port } of environmentTable) {
    const value = readVariable(env, name)
    const keys = path.split('.')
    if (value === null || find(tree, keys)) continue
    if (port && !isPort(value)) warn(name, 'ignored, it is no port')
    else tree = place(tree, keys, leafOf(value, originOf(name)))
  }
  for (const [name, value, model] of endpoints(env, files, warn)) {
    const configured = find(files, ['models', model, 'targets'])
    if (configured) warn(name, `replaces the targets of models.${model}`)
    tree = place(tree, ['models', model, 'endpoint'], leafOf(value, originOf(name)))
    if (configured) tree = place(tree, ['models', model, 'targets'], treeOf([], originOf(name)))
  }
  return { tree, warnings }
}

type Endpoint = readonly [name: string, value: string, model: string]

function endpoints(env: Environment, files: MapTree, warn: (name: string, message: string) => void): Endpoint[] {
  const models = modelNames(find(files, ['models']))
  return Object.keys(env)
    .filter(name => name.endsWith('_ENDPOINT') && !tableNames.has(name) && !notModels.test(name))
    .sort()
    .flatMap((name): Endpoint[] => {
      const value = readVariable(env, name)
      if (value === null) return []
      const wanted = bare(name.slice(0, -'_ENDPOINT'.length))
      const model = models.find(each => bare(each) === wanted) ?? knownModels[name]
      if (model !== undefined) return [[name, value, model]]
      const [near] = closest(wanted, models.map(bare), 1)
      const hint = models.find(each => bare(each) === near)
      warn(name, `ignored, no configured model has this name${hint ? `; the nearest is ${hint}` : ''}`)
      return []
    })
}

function modelNames(models: Tree | undefined): string[] {
  return models?.kind === 'map' ? [...models.entries.keys()] : []
}

/** Gives the value of a variable; an empty one counts as absent. */
export function readVariable(env: Environment, name: string): string | null {
  const value = env[name]?.trim()
  return value === undefined || value === '' ? null : value
}

function isPort(value: string): boolean {
  return /^\d{1,5}$/.test(value) && Number(value) <= 65_535
}

function bare(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9]/g, '')
}

function originOf(name: string): Origin {
  return { file: 'environment', line: 0, column: 0, name }
}

function problemOf(name: string, message: string): Problem {
  return { file: 'environment', line: 0, column: 0, path: name, message }
}
