import type { Access } from './edge.ts'
import type { Handler } from './exchange.ts'
import { clearCache } from './routes/cache.ts'
import { docsPage, openapiDocument, root, schemaDocument } from './routes/documentation.ts'
import { fleetEvents } from './routes/events.ts'
import { health, healthDetailed, livez, modelsStatus, providers, readyz } from './routes/health.ts'
import { createKey, listKeys, revokeKey, rotateKey, showKey, updateKey } from './routes/keys.ts'
import { managementConfig, managementModels, managementServers, reloadConfig } from './routes/management.ts'
import { metricsText } from './routes/metrics.ts'
import { modelCall } from './routes/model-call.ts'
import { model, models } from './routes/models.ts'
import {
  beatServer,
  enterpriseHealth,
  listServers,
  markServer,
  registerServer,
  removeServer,
  serverHealth,
} from './routes/orchestration.ts'
import { managementAudit, managementNamed, managementUsage } from './routes/reports.ts'
import { requestReport } from './routes/requests.ts'
import { distributeWorkload, explainRoute } from './routes/routing.ts'
import { managementStats } from './routes/stats.ts'
import { webhook } from './routes/webhooks.ts'
import type { Services } from './services.ts'

/** One line of the table of routes. */
export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** In Hono's form; `{.+}` lets a parameter hold slashes. */
  readonly path: string
  readonly access: Access
  /** The operation's id in the API document; `null` for what is no part of the API. */
  readonly operation: string | null
  readonly handler: Handler
  /** Whether requests take from the caller's token buckets. */
  readonly limited?: boolean
  /** Whether it administers nothing, though it is for operators. */
  readonly quiet?: boolean
}

const ANYONE = { method: 'GET', access: 'anyone' } as const
const CALLER = { method: 'GET', access: 'caller' } as const
const OBSERVER = { method: 'GET', access: 'observer' } as const
const VIEWER = { method: 'GET', access: 'viewer' } as const
const OPERATOR = { method: 'POST', access: 'operator' } as const

/** Everything that the gateway serves. Data-plane paths are also served without `/v1`, every path also with a slash
 * at its end. */
export function createRoutes(services: Services): readonly Route[] {
  const { extraPaths } = services
  const table: Route[] = [
    ...modelRoutes(services),
    ...healthRoutes(services),
    { ...OPERATOR, path: '/management/cache/clear', operation: 'clearCache', handler: clearCache(services) },
    { ...OBSERVER, path: '/metrics', operation: 'getMetrics', handler: metricsText(services) },
    { ...OBSERVER, path: '/v1/metrics', operation: 'getMetrics', handler: metricsText(services) },
    { ...VIEWER, path: '/management/stats', operation: 'getStats', handler: managementStats(services) },
    ...settingsRoutes(services),
    ...reportRoutes(services),
    ...keyRoutes(services),
    ...orchestrationRoutes(services),
    ...webhookRoutes(services),
    ...rehearsalRoutes(services),
    { ...ANYONE, path: '/openapi.json', operation: 'getOpenapi', handler: openapiDocument(() => table, services) },
    { ...ANYONE, path: '/schema.json', operation: 'getConfigSchema', handler: schemaDocument(services) },
    { ...ANYONE, path: '/docs', operation: 'getDocs', handler: docsPage(services) },
    { ...ANYONE, path: '/docs/:page{.+}', operation: null, handler: docsPage(services) },
    { ...ANYONE, path: '/', operation: 'getRoot', handler: root(services) },
  ]
  const taken = new Set(table.map(route => route.path))
  const extra: Route[] = [
    { ...ANYONE, path: extraPaths.health, operation: null, handler: health(services) },
    { ...OBSERVER, path: extraPaths.metrics, operation: null, handler: metricsText(services) },
  ]
  return [...table, ...extra.filter(({ path }) => !taken.has(path))]
}

function modelRoutes(services: Services): readonly Route[] {
  const call = { method: 'POST', access: 'caller', limited: true } as const
  const [chat, completions] = [modelCall('chat', services), modelCall('completions', services)]
  return [
    { ...call, path: '/v1/chat/completions', operation: 'createChatCompletion', handler: chat },
    { ...call, path: '/v1/completions', operation: 'createCompletion', handler: completions },
    { ...call, path: '/v1/embeddings', operation: 'createEmbedding', handler: modelCall('embeddings', services) },
    { ...CALLER, path: '/v1/models', operation: 'listModels', handler: models(services) },
    { ...CALLER, path: '/v1/models/:id{.+}', operation: 'retrieveModel', handler: model(services) },
    { ...CALLER, path: '/v1/requests/:id', operation: 'getRequest', handler: requestReport(services) },
    { ...OBSERVER, path: '/v1/providers', operation: 'listProviders', handler: providers(services) },
    { ...OBSERVER, path: '/models/status', operation: 'getModelsStatus', handler: modelsStatus(services) },
  ]
}

function healthRoutes(services: Services): readonly Route[] {
  const enterprise = enterpriseHealth(services)
  return [
    { ...ANYONE, path: '/health', operation: 'getHealth', handler: health(services) },
    { ...ANYONE, path: '/v1/health', operation: 'getHealth', handler: health(services) },
    { ...OBSERVER, path: '/health/detailed', operation: 'getHealthDetailed', handler: healthDetailed(services) },
    { ...OBSERVER, path: '/health/enterprise', operation: 'getEnterpriseHealth', handler: enterprise },
    { ...ANYONE, path: '/livez', operation: 'getLiveness', handler: livez() },
    { ...ANYONE, path: '/readyz', operation: 'getReadiness', handler: readyz(services) },
  ]
}

/** What would happen, and nothing does. */
function rehearsalRoutes(services: Services): readonly Route[] {
  const asked = { ...OPERATOR, quiet: true } as const
  const [explain, distribute] = [explainRoute(services), distributeWorkload(services)]
  return [
    { ...asked, path: '/management/route/explain', operation: 'explainRoute', handler: explain },
    { ...asked, path: '/orchestration/workload/distribute', operation: 'distributeWorkload', handler: distribute },
  ]
}

function orchestrationRoutes(services: Services): readonly Route[] {
  const servers = '/orchestration/servers'
  const [beat, remove] = [beatServer(services), removeServer(services)]
  const [drain, recover] = [markServer(services, 'draining'), markServer(services, 'active')]
  return [
    { ...OBSERVER, path: `${servers}/list`, operation: 'listServers', handler: listServers(services) },
    { ...OBSERVER, path: `${servers}/:id/health`, operation: 'getServerHealth', handler: serverHealth(services) },
    { ...OBSERVER, path: '/orchestration/events', operation: 'followEvents', handler: fleetEvents(services) },
    { ...OPERATOR, path: `${servers}/register`, operation: 'registerServer', handler: registerServer(services) },
    { ...OPERATOR, path: `${servers}/:id/heartbeat`, operation: 'beatServer', handler: beat, quiet: true },
    { ...OPERATOR, method: 'DELETE', path: `${servers}/:id`, operation: 'removeServer', handler: remove },
    { ...OPERATOR, path: '/orchestration/failover/:id', operation: 'drainServer', handler: drain },
    { ...OPERATOR, path: '/orchestration/recover/:id', operation: 'recoverServer', handler: recover },
  ]
}

function webhookRoutes(services: Services): readonly Route[] {
  const signed = { method: 'POST', access: 'signed' } as const
  const of = (type?: string) => webhook(services, type)
  return [
    { ...signed, path: '/webhooks/alertmanager', operation: 'takeAlerts', handler: of('alertmanager') },
    { ...signed, path: '/webhooks/server_status', operation: 'takeServerStatus', handler: of('server_status') },
    { ...signed, path: '/webhooks/:type', operation: 'takeWebhook', handler: of() },
  ]
}

function settingsRoutes(services: Services): readonly Route[] {
  const base = '/management'
  return [
    { ...VIEWER, path: `${base}/models/list`, operation: 'listManagedModels', handler: managementModels(services) },
    { ...VIEWER, path: `${base}/servers/status`, operation: 'getServersStatus', handler: managementServers(services) },
    { ...VIEWER, path: `${base}/config`, operation: 'getConfig', handler: managementConfig(services) },
    { ...OPERATOR, path: `${base}/config/reload`, operation: 'reloadConfig', handler: reloadConfig(services) },
  ]
}

function reportRoutes(services: Services): readonly Route[] {
  const base = '/management'
  const named = (of: 'users' | 'sessions') => managementNamed(services, of)
  return [
    { ...VIEWER, path: `${base}/usage`, operation: 'getUsage', handler: managementUsage(services) },
    { ...VIEWER, path: `${base}/users`, operation: 'listUsers', handler: named('users') },
    { ...VIEWER, path: `${base}/sessions`, operation: 'listSessions', handler: named('sessions') },
    { ...VIEWER, path: `${base}/audit`, operation: 'getAudit', handler: managementAudit(services) },
  ]
}

function keyRoutes(services: Services): readonly Route[] {
  const [all, one, access] = ['/management/keys', '/management/keys/:id', 'admin'] as const
  return [
    { method: 'GET', path: all, access, operation: 'listKeys', handler: listKeys(services) },
    { method: 'POST', path: all, access, operation: 'createKey', handler: createKey(services) },
    { method: 'GET', path: one, access, operation: 'showKey', handler: showKey(services) },
    { method: 'PATCH', path: one, access, operation: 'updateKey', handler: updateKey(services) },
    { method: 'DELETE', path: one, access, operation: 'revokeKey', handler: revokeKey(services) },
    { method: 'POST', path: `${one}/rotate`, access, operation: 'rotateKey', handler: rotateKey(services) },
  ]
}
