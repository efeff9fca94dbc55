import { describe, expect, test } from 'bun:test'
import { hasRole, type Role } from '#core/caller.ts'
import { createRoutes } from '#http/routes.ts'
import type { Services } from '#http/services.ts'
import { ADMIN_KEY, edgeOf, errorOf, makeKey } from './edge.ts'

/** What of tenants a route can reach: nothing (`fleet`: what belongs to the whole installation, `public`, `own`: only
 * the caller's), things that have an id, or all of a tenant that the query or the body names. */
type Reach = 'fleet' | 'public' | 'own' | 'object' | 'query' | 'body'

/** Every route, by its operation or, without one, its path. A new route has to say what it reaches. */
const REACH: Readonly<Record<string, Reach>> = {
  createChatCompletion: 'own',
  createCompletion: 'own',
  createEmbedding: 'own',
  listModels: 'own',
  retrieveModel: 'own',
  getRequest: 'object',
  listProviders: 'fleet',
  getModelsStatus: 'fleet',
  getHealth: 'public',
  getHealthDetailed: 'fleet',
  getEnterpriseHealth: 'fleet',
  getLiveness: 'public',
  getReadiness: 'public',
  clearCache: 'body',
  getMetrics: 'fleet',
  getStats: 'query',
  listManagedModels: 'fleet',
  getServersStatus: 'fleet',
  getConfig: 'fleet',
  reloadConfig: 'fleet',
  getUsage: 'query',
  listUsers: 'query',
  listSessions: 'query',
  getAudit: 'query',
  listKeys: 'query',
  createKey: 'query',
  showKey: 'object',
  updateKey: 'object',
  revokeKey: 'object',
  rotateKey: 'object',
  listServers: 'fleet',
  getServerHealth: 'fleet',
  followEvents: 'fleet',
  registerServer: 'fleet',
  beatServer: 'fleet',
  removeServer: 'fleet',
  drainServer: 'fleet',
  recoverServer: 'fleet',
  takeAlerts: 'fleet',
  takeServerStatus: 'fleet',
  takeWebhook: 'fleet',
  explainRoute: 'own',
  distributeWorkload: 'own',
  getOpenapi: 'public',
  getConfigSchema: 'public',
  getDocs: 'public',
  '/docs/:page{.+}': 'public',
  getRoot: 'public',
}

const routes = createRoutes({ extraPaths: { health: '/health', metrics: '/metrics' } } as unknown as Services)
const nameOf = ({ operation, path }: (typeof routes)[number]) => operation ?? path
const reaching = (reach: Reach) => routes.filter(route => REACH[nameOf(route)] === reach)

const ROLES = ['caller', 'viewer', 'operator', 'admin'] as const
const MISSING = '019a8f2e-5b7c-7d1e-9f60-3a4b5c6d7e8f'
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

/** A tenant `shop` with a key of each role, and a tenant `bank` with a key that has made a call. */
async function tenants() {
  const edge = await edgeOf({ auth: { mode: 'required', admin_keys: [ADMIN_KEY] }, cache: { enabled: true } })
  const keys = new Map<Role, string>()
  for (const role of ROLES) keys.set(role, (await makeKey(edge, { role, name: role }, '?tenant=shop')).key)
  const bank = await makeKey(edge, { name: 'bank', role: 'admin' }, '?tenant=bank')
  const call = await edge.chat({ headers: bearer(bank.key) })
  return { edge, keys, bank, request: call.headers.get('x-request-id') ?? '' }
}

/** Whether a role may use a route at all, in a gateway whose callers all need a key. */
function mayUse(role: Role, access: (typeof routes)[number]['access']): boolean {
  const needed = access === 'observer' ? 'viewer' : access
  return needed === 'signed' || needed === 'anyone' || hasRole(role, needed)
}

test('a tenant is asked about by any name that may have a budget', async () => {
  const name = 'user@acme.example:eu'
  const budgets = { per_tenant: { [name]: { usd: 1 } } }
  const edge = await edgeOf({ auth: { mode: 'required', admin_keys: [ADMIN_KEY] }, budgets })

  const stats = await edge.ask(`/management/stats?tenant=${name}`, { headers: bearer(ADMIN_KEY) })

  expect(await stats.json()).toMatchObject({ tenant: name })
  expect((await makeKey(edge, {}, `?tenant=${name}`)).key).toStartWith('ck_')
})

test('every route says what it reaches', () => {
  expect([...new Set(routes.map(nameOf))].toSorted()).toEqual(Object.keys(REACH).toSorted())
})

describe.each(ROLES)('a key with the role %s', role => {
  test.each(reaching('object').map(route => [`${route.method} ${route.path}`, route] as const))(
    'cannot tell what another tenant has from what never was: %s',
    async (_, { method, path, access }) => {
      const { edge, keys, bank, request } = await tenants()
      const foreign = path.startsWith('/management/keys') ? bank.id : request
      const ask = async (id: string) => {
        const body = method === 'GET' || method === 'DELETE' ? undefined : path.endsWith('rotate') ? {} : { name: 'x' }
        const headers = bearer(keys.get(role) ?? '')
        const response = await edge.ask(path.replace(':id', id), { method, headers, body })
        return [response.status, await errorOf(response)] as const
      }

      const [theirs, nothing] = [await ask(foreign), await ask(MISSING)]

      expect(theirs[0]).toBe(mayUse(role, access) ? 404 : 403)
      expect(JSON.stringify(theirs).replaceAll(foreign, MISSING)).toBe(JSON.stringify(nothing))
      expect((await edge.chat({ headers: bearer(bank.key) })).status).toBe(200)
    },
  )

  test.each(reaching('query').map(route => [`${route.method} ${route.path}`, route] as const))(
    'reaches its own tenant and no other: %s',
    async (_, { method, path, access }) => {
      const { edge, keys } = await tenants()
      const ask = (tenant: string) => {
        const body = method === 'POST' ? { name: 'made' } : undefined
        return edge.ask(`${path}?tenant=${tenant}`, { method, headers: bearer(keys.get(role) ?? ''), body })
      }

      for (const tenant of ['bank', 'default', '*']) expect((await ask(tenant)).status, tenant).toBe(403)
      expect((await ask('shop')).ok).toBe(mayUse(role, access))
    },
  )

  test.each(reaching('body').map(route => [`${route.method} ${route.path}`, route] as const))(
    'does to no other tenant what it may do to its own: %s',
    async (_, { method, path, access }) => {
      const { edge, keys, bank } = await tenants()
      const ask = (body: object) => edge.ask(path, { method, headers: bearer(keys.get(role) ?? ''), body })

      const refused = [(await ask({ tenant: 'bank' })).status, (await ask({ tenant: 'default' })).status]
      const own = await ask({})

      expect(refused).toEqual([403, 403])
      expect(own.ok).toBe(mayUse(role, access))
      // What the other tenant has stored is still there.
      expect((await edge.chat({ headers: bearer(bank.key) })).headers.get('x-citadel-cache')).toBe('hit')
    },
  )
})
