import { isSetTo, plainAt, textOf, textsOf } from './read-tree.ts'
import { type Complain, find, type MapTree } from './tree.ts'

/** The default port to listen on. */
const PORT = 8000

/** Paths of the gateway's own routes, which a configurable page must not have. */
const SERVED =
  /^\/(v1|models|chat|completions|embeddings|requests|providers|health|metrics|livez|readyz|management|orchestration|webhooks|docs|openapi\.json|schema\.json)(\/|$)|^\/+$/

/** The pages whose path is configurable, each with its default path. */
const PAGES = [
  ['health_check_endpoint', /^(\/v1)?\/health\/?$/],
  ['metrics_endpoint', /^(\/v1)?\/metrics\/?$/],
] as const

/** Checks that configured paths of pages collide neither with each other nor with the gateway's routes. */
export function checkPages(tree: MapTree, complain: Complain): void {
  for (const [key, own] of PAGES) {
    const path = ['monitoring', key]
    const page = textOf(find(tree, path))
    if (page !== null && SERVED.test(page) && !own.test(page))
      complain(path, `${page} is another page of the gateway already`)
  }
  const [health, metrics] = PAGES.map(([key]) => textOf(find(tree, ['monitoring', key])))
  if (health != null && health === metrics)
    complain(['monitoring', 'metrics_endpoint'], 'is the same path as health_check_endpoint')
}

/** Checks settings that depend on each other. */
export function checkSettings(tree: MapTree, complain: Complain): void {
  const at = (path: string) => plainAt(tree, path.split('.'))
  const is = (path: string, truth: boolean) => isSetTo(tree, path.split('.'), truth)
  const routing = ['gateway', 'model_routing_enabled']
  if (is('gateway.model_routing_enabled', false) && at('gateway.default_model') == null)
    complain(routing, 'false needs gateway.default_model, which then answers everything')
  if (is('cors.credentials', true) && textsOf(find(tree, ['cors', 'origins'])).includes('*'))
    complain(['cors', 'credentials'], 'cannot be allowed for every origin ("*")')
  if (is('cache.semantic.enabled', true) && at('cache.semantic.model') == null)
    complain(['cache', 'semantic', 'model'], 'is required while cache.semantic is enabled')
  const port = at('monitoring.prometheus_port')
  if (port != null && Number(port) === Number(at('service.port') ?? PORT))
    complain(['monitoring', 'prometheus_port'], 'is the port of the gateway itself')
}
