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

/** Everything that the gateway serves. Data-plane paths are also served without `/v1`, every path also with a slash
 * at its end. */
export function createRoutes(services: Services): readonly Route[] {
  const { extraPaths } = services
  const table: Route[] = [
    {
      method: 'POST',
      path: '/v1/chat/completions',
      access: 'caller',
      operation: 'createChatCompletion',
      handler: modelCall('chat', services),
      limited: true,
    },
    {
      method: 'POST',
      path: '/v1/completions',
      access: 'caller',
      operation: 'createCompletion',
      handler: modelCall('completions', services),
      limited: true,
    },
    {
      method: 'POST',
      path: '/v1/embeddings',
      access: 'caller',
      operation: 'createEmbedding',
      handler: modelCall('embeddings', services),
      limited: true,
    },
    { method: 'GET', path: '/v1/models', access: 'caller', operation: 'listModels', handler: models(services) },
    {
      method: 'GET',
      path: '/v1/models/:id{.+}',
      access: 'caller',
      operation: 'retrieveModel',
      handler: model(services),
    },
    {
      method: 'GET',
      path: '/v1/requests/:id',
      access: 'caller',
      operation: 'getRequest',
      handler: requestReport(services),
    },
    {
      method: 'GET',
      path: '/v1/providers',
      access: 'observer',
      operation: 'listProviders',
      handler: providers(services),
    },
    {
      method: 'GET',
      path: '/models/status',
      access: 'observer',
      operation: 'getModelsStatus',
      handler: modelsStatus(services),
    },
    { method: 'GET', path: '/health', access: 'anyone', operation: 'getHealth', handler: health(services) },
    { method: 'GET', path: '/v1/health', access: 'anyone', operation: 'getHealth', handler: health(services) },
    {
      method: 'GET',
      path: '/health/detailed',
      access: 'observer',
      operation: 'getHealthDetailed',
      handler: healthDetailed(services),
    },
    {
      method: 'GET',
      path: '/health/enterprise',
      access: 'observer',
      operation: 'getEnterpriseHealth',
      handler: enterpriseHealth(services),
    },
    { method: 'GET', path: '/livez', access: 'anyone', operation: 'getLiveness', handler: livez() },
    { method: 'GET', path: '/readyz', access: 'anyone', operation: 'getReadiness', handler: readyz(services) },
    {
      method: 'POST',
      path: '/management/cache/clear',
      access: 'operator',
      operation: 'clearCache',
      handler: clearCache(services),
    },
    { method: 'GET', path: '/metrics', access: 'observer', operation: 'getMetrics', handler: metricsText(services) },
    { method: 'GET', path: '/v1/metrics', access: 'observer', operation: 'getMetrics', handler: metricsText(services) },
    {
      method: 'GET',
      path: '/management/stats',
      access: 'viewer',
      operation: 'getStats',
      handler: managementStats(services),
    },
    ...settingsRoutes(services),
    ...reportRoutes(services),
    ...keyRoutes(services),
    ...orchestrationRoutes(services),
    ...webhookRoutes(services),
    {
      method: 'POST',
      path: '/management/route/explain',
      access: 'operator',
      quiet: true,
      operation: 'explainRoute',
      handler: explainRoute(services),
    },
    {
      method: 'POST',
      path: '/orchestration/workload/distribute',
      access: 'operator',
      quiet: true,
      operation: 'distributeWorkload',
      handler: distributeWorkload(services),
    },
    {
      method: 'GET',
      path: '/openapi.json',
      access: 'anyone',
      operation: 'getOpenapi',
      handler: openapiDocument(() => table, services),
    },
    {
      method: 'GET',
      path: '/schema.json',
      access: 'anyone',
      operation: 'getConfigSchema',
      handler: schemaDocument(services),
    },
    { method: 'GET', path: '/docs', access: 'anyone', operation: 'getDocs', handler: docsPage(services) },
    { method: 'GET', path: '/docs/:page{.+}', access: 'anyone', operation: null, handler: docsPage(services) },
    { method: 'GET', path: '/', access: 'anyone', operation: 'getRoot', handler: root(services) },
  ]
  const taken = new Set(table.map(route => route.path))
  const extra: Route[] = []
  if (!taken.has(extraPaths.health))
    extra.push({ method: 'GET', path: extraPaths.health, access: 'anyone', operation: null, handler: health(services) })
  if (!taken.has(extraPaths.metrics))
    extra.push({
      method: 'GET',
      path: extraPaths.metrics,
      access: 'observer',
      operation: null,
      handler: metricsText(services),
    })
  return [...table, ...extra]
}

function orchestrationRoutes(services: Services): readonly Route[] {
  const servers = '/orchestration/servers'
  const operator = { method: 'POST', access: 'operator' } as const
  const observer = { method: 'GET', access: 'observer' } as const
  const [drain, recover] = [markServer(services, 'draining'), markServer(services, 'active')]
  return [
    { ...observer, path: `${servers}/list`, operation: 'listServers', handler: listServers(services) },
    { ...observer, path: `${servers}/:id/health`, operation: 'getServerHealth', handler: serverHealth(services) },
    { ...observer, path: '/orchestration/events', operation: 'followEvents', handler: fleetEvents(services) },
    { ...operator, path: `${servers}/register`, operation: 'registerServer', handler: registerServer(services) },
    {
      ...operator,
      path: `${servers}/:id/heartbeat`,
      operation: 'beatServer',
      handler: beatServer(services),
      quiet: true,
    },
    {
      ...operator,
      method: 'DELETE',
      path: `${servers}/:id`,
      operation: 'removeServer',
      handler: removeServer(services),
    },
    { ...operator, path: '/orchestration/failover/:id', operation: 'drainServer', handler: drain },
    { ...operator, path: '/orchestration/recover/:id', operation: 'recoverServer', handler: recover },
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
  const [viewer, base] = [{ method: 'GET', access: 'viewer' } as const, '/management']
  return [
    { ...viewer, path: `${base}/models/list`, operation: 'listManagedModels', handler: managementModels(services) },
    { ...viewer, path: `${base}/servers/status`, operation: 'getServersStatus', handler: managementServers(services) },
    { ...viewer, path: `${base}/config`, operation: 'getConfig', handler: managementConfig(services) },
    {
      method: 'POST',
      path: `${base}/config/reload`,
      access: 'operator',
      operation: 'reloadConfig',
      handler: reloadConfig(services),
    },
  ]
}

function reportRoutes(services: Services): readonly Route[] {
  const [viewer, base] = [{ method: 'GET', access: 'viewer' } as const, '/management']
  const named = (of: 'users' | 'sessions') => managementNamed(services, of)
  return [
    { ...viewer, path: `${base}/usage`, operation: 'getUsage', handler: managementUsage(services) },
    { ...viewer, path: `${base}/users`, operation: 'listUsers', handler: named('users') },
    { ...viewer, path: `${base}/sessions`, operation: 'listSessions', handler: named('sessions') },
    { ...viewer, path: `${base}/audit`, operation: 'getAudit', handler: managementAudit(services) },
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
