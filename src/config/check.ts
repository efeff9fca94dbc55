import { adminName } from '#core/caller.ts'
import { closest, didYouMean } from '#lib/closest.ts'
import { checkConnections } from './check-connections.ts'
import { checkPages, checkSettings } from './check-settings.ts'
import type { Problem } from './problems.ts'
import { entriesOf, isSetTo, itemsOf, plainAt, textAt, textOf, textsOf } from './read-tree.ts'
import { type Complain, find, type MapTree, type Path, problemAt, type Tree } from './tree.ts'

/** The names that references may use, as far as they are known before the schema is checked. */
interface Names {
  readonly servers: ReadonlySet<string>
  readonly models: ReadonlySet<string>
  readonly aliases: ReadonlySet<string>
  /** The targets of declared models, as `server/model`. */
  readonly targets: ReadonlySet<string>
  /** The servers that serve the models declared on them, and not those that they list. */
  readonly declared: ReadonlySet<string>
  /** Whether a model that the configuration does not declare may still exist, because servers list models at run time. */
  readonly open: boolean
}

const needsAddress = new Set(['openai_compatible', 'service'])

/** Checks references from one part of the configuration to another, such as the server of a target. It reads the tree
 * before the schema is applied, so that all problems are reported together. */
export function checkReferences(tree: MapTree): Problem[] {
  const problems: Problem[] = []
  const complain: Complain = (path, message, position) => problems.push(problemAt(tree, path, message, position))
  const names = collectNames(tree)
  checkServers(tree, complain)
  checkConnections(tree, complain)
  for (const [name, model] of entriesOf(find(tree, ['models']))) checkModel(name, model, names, complain)
  checkNameCollisions(tree, names, complain)
  checkModelReferences(tree, names, complain)
  checkClasses(tree, names, complain)
  checkKeys(tree, complain)
  checkTokens(tree, complain)
  checkDeliveries(tree, complain)
  checkSettings(tree, complain)
  checkPages(tree, complain)
  return problems
}

function collectNames(tree: MapTree): Names {
  const models = entriesOf(find(tree, ['models']))
  const servers = itemsOf(find(tree, ['servers'])).map(server => textAt(server, 'id'))
  const short = models.filter(([, model]) => find(model, ['endpoint'])).map(([name]) => name)
  const targets = models.flatMap(([name, model]) =>
    itemsOf(find(model, ['targets'])).map(target => [textAt(target, 'server'), textAt(target, 'model') ?? name]),
  )
  const declared = new Set([...short, ...targets.map(([server]) => server ?? '')])
  return {
    declared,
    targets: new Set([...short.map(name => `${name}/${name}`), ...targets.map(target => target.join('/'))]),
    servers: new Set([...servers, ...short].filter(id => id !== null)),
    models: new Set(models.map(([name]) => name)),
    aliases: new Set(models.flatMap(([, model]) => textsOf(find(model, ['aliases'])))),
    open: models.length === 0 || someListTheirs(tree, declared),
  }
}

/** Whether some server serves the models that it lists: discovered servers, the demo, and servers that no model is
 * declared on. */
function someListTheirs(tree: MapTree, declared: ReadonlySet<string>): boolean {
  if (['discover', 'demo'].some(key => isSetTo(tree, ['gateway', key], true))) return true
  return itemsOf(find(tree, ['servers'])).some(
    server => !declared.has(textAt(server, 'id') ?? '') && textAt(server, 'kind')?.toLowerCase() !== 'service',
  )
}

function checkServers(tree: MapTree, complain: Complain): void {
  const seen = new Set<string>()
  for (const [index, server] of itemsOf(find(tree, ['servers'])).entries()) {
    const id = textAt(server, 'id')
    if (id !== null && seen.has(id)) complain(['servers', index, 'id'], `"${id}" is already the id of another server`)
    if (id !== null) seen.add(id)
    const kind = textAt(server, 'kind')?.toLowerCase()
    if (kind !== undefined && needsAddress.has(kind) && plainAt(server, ['base_url']) == null)
      complain(['servers', index, 'base_url'], `is required for kind ${kind}`)
  }
}

function checkModel(name: string, model: Tree, names: Names, complain: Complain): void {
  if (model.kind !== 'map') return
  const at = ['models', name]
  const targets = itemsOf(find(model, ['targets']))
  const endpoint = plainAt(model, ['endpoint']) != null
  if (name === 'auto') complain(at, '"auto" lets the gateway choose and cannot be the name of a model', 'key')
  if (!endpoint && targets.length === 0 && !isMisspelt(model)) complain(at, 'needs endpoint or targets', 'key')
  if (endpoint && targets.length > 0) complain([...at, 'endpoint'], 'give endpoint or targets, not both', 'key')
  if (!endpoint && targets.length > 0) {
    for (const [key, instead] of [
      ['max_concurrent', 'max_concurrent'],
      ['cost_per_request', 'price.request'],
    ] as const)
      if (find(model, [key])) complain([...at, key], `belongs to an endpoint; set ${instead} of the targets`, 'key')
  }
  const seen = new Set<string>()
  for (const [index, target] of targets.entries()) {
    const server = textAt(target, 'server')
    const upstream = `${server} ${textAt(target, 'model') ?? name}`
    if (server !== null && seen.has(upstream))
      complain([...at, 'targets', index], 'is a target of this model already: name it once, with one weight')
    seen.add(upstream)
    if (server !== null && !names.servers.has(server))
      complain(
        [...at, 'targets', index, 'server'],
        `no server has the id "${server}"${didYouMean(server, names.servers)}`,
      )
  }
}

// The schema reports these keys; reporting that nothing was given would repeat it.
function isMisspelt(model: MapTree): boolean {
  const targets = model.entries.get('targets')
  if (targets && targets.kind !== 'list') return true
  const places = ['endpoint', 'targets']
  return [...model.entries.keys()].some(key => !places.includes(key) && closest(key, places).length > 0)
}

function checkNameCollisions(tree: MapTree, names: Names, complain: Complain): void {
  const owners = new Map<string, string>()
  for (const [name, model] of entriesOf(find(tree, ['models']))) {
    for (const [index, alias] of itemsOf(find(model, ['aliases'])).entries()) {
      const text = textOf(alias)
      if (text === null) continue
      const path = ['models', name, 'aliases', index]
      const owner = owners.get(text)
      if (text === 'auto') complain(path, '"auto" lets the gateway choose and cannot be an alias')
      else if (names.models.has(text)) complain(path, `"${text}" is already the name of a model`)
      else if (owner !== undefined) complain(path, `"${text}" is already an alias of ${owner}`)
      owners.set(text, name)
    }
  }
  for (const [index, server] of itemsOf(find(tree, ['servers'])).entries()) {
    const id = textAt(server, 'id')
    if (id !== null && find(tree, ['models', id, 'endpoint']))
      complain(['servers', index, 'id'], `"${id}" is already the server behind the endpoint of models.${id}`)
  }
}

function checkModelReferences(tree: MapTree, names: Names, complain: Complain): void {
  const check = (path: Path, own?: string) => {
    const text = textOf(find(tree, path))
    if (text === null) return
    if (text === own) complain(path, 'a model cannot be its own fallback')
    else if (!isModel(text, names)) complain(path, noModel(text, names))
  }
  check(['gateway', 'default_model'])
  check(['cache', 'semantic', 'model'])
  checkEach(tree, ['gateway', 'fallback', 'order'], check)
  checkEach(tree, ['load_balancer', 'preload'], check)
  for (const [name] of entriesOf(find(tree, ['models'])))
    checkEach(tree, ['models', name, 'fallbacks'], path => check(path, name))
  for (const index of itemsOf(find(tree, ['auth', 'keys'])).keys())
    checkEach(tree, ['auth', 'keys', index, 'models'], check)
  for (const [name] of entriesOf(find(tree, ['limits', 'per_model']))) {
    const complainHere = (message: string) => complain(['limits', 'per_model', name], message, 'key')
    if (!isModel(name, names)) complainHere(noModel(name, names))
    else if (isTarget(name, names))
      complainHere('is limited by the public name of its model: limits hold over all targets')
  }
}

function isModel(name: string, { models, aliases, targets, open }: Names): boolean {
  if (models.has(name) || aliases.has(name) || targets.has(name)) return true
  return open && name !== 'auto'
}

/** Whether it names a declared target, which has no limits of its own. */
function isTarget(name: string, { models, aliases, declared }: Names): boolean {
  return !models.has(name) && !aliases.has(name) && declared.has(name.slice(0, Math.max(0, name.indexOf('/'))))
}

function noModel(name: string, { models, aliases, targets }: Names): string {
  return `no model is called "${name}"${didYouMean(name, [...models, ...aliases, ...targets])}`
}

function checkClasses(tree: MapTree, names: Names, complain: Complain): void {
  for (const [name] of entriesOf(find(tree, ['gateway', 'classes'])))
    checkEach(tree, ['gateway', 'classes', name, 'prefer'], path => {
      const id = textOf(find(tree, path))
      if (id !== null && !names.servers.has(id))
        complain(path, `no server has the id "${id}"${didYouMean(id, names.servers)}`)
    })
}

function checkKeys(tree: MapTree, complain: Complain): void {
  const admins = itemsOf(find(tree, ['auth', 'admin_keys']))
  const seenNames = new Set(['anonymous', ...admins.map((_, index) => adminName(index))])
  const seenKeys = new Set<string>()
  const once = (seen: Set<string>, value: string | null, path: Path, message: string) => {
    if (value !== null && seen.has(value)) complain(path, message)
    if (value !== null) seen.add(value)
  }
  for (const [index, key] of itemsOf(find(tree, ['auth', 'keys'])).entries()) {
    const name = textAt(key, 'name')
    once(seenNames, name, ['auth', 'keys', index, 'name'], `"${name}" is already the name of other callers`)
    once(seenKeys, textAt(key, 'key'), ['auth', 'keys', index, 'key'], 'is the same key as another one')
  }
  for (const [index, key] of admins.entries())
    once(seenKeys, textOf(key), ['auth', 'admin_keys', index], 'is the same key as another one')
}

/** A shorter secret can be guessed from one token (RFC 7518 §3.2). */
const SECRET_MIN = 32

function checkTokens(tree: MapTree, complain: Complain): void {
  const at = (key: string) => ['auth', 'jwt', key]
  const isSet = (key: string) => plainAt(tree, at(key)) != null
  const listed = find(tree, at('algorithms'))
  const shared = textsOf(listed).filter(name => name.startsWith('HS'))
  if (!isSet('issuer')) {
    for (const key of ['audience', 'jwks_url', 'secret'])
      if (isSet(key)) complain(at(key), 'needs auth.jwt.issuer', 'key')
    return
  }
  if (!isSet('audience')) complain(at('issuer'), 'needs auth.jwt.audience: a token for another service is not for this')
  if (shared.length > 0 && !isSet('secret')) complain(at('algorithms'), `${shared[0]} needs auth.jwt.secret`)
  const secret = textOf(find(tree, at('secret'))) ?? ''
  if (isSet('secret') && secret.length < SECRET_MIN) complain(at('secret'), `needs ${SECRET_MIN} characters or more`)
  if (isSet('secret') && shared.length === 0) complain(at('secret'), 'needs HS256, HS384 or HS512 in algorithms', 'key')
  if (isSet('jwks_url') || (listed !== undefined && shared.length === textsOf(listed).length)) return
  const one = textOf(find(tree, at('issuer')))
  for (const issuer of one === null ? textsOf(find(tree, at('issuer'))) : [one])
    if (!/^https?:\/\/[^?#]+$/.test(issuer)) complain(at('issuer'), 'is no address: set auth.jwt.jwks_url too')
}

/** How far delivery has got is kept by address: a second entry would never get its turn. */
function checkDeliveries(tree: MapTree, complain: Complain): void {
  const seen = new Set<string>()
  for (const [index, delivery] of itemsOf(find(tree, ['webhooks', 'deliver'])).entries()) {
    const url = textAt(delivery, 'url')
    if (url === null) continue
    if (seen.has(url))
      complain(['webhooks', 'deliver', index, 'url'], 'is delivered to already: name all its events once')
    seen.add(url)
  }
}

function checkEach(tree: MapTree, list: Path, check: (path: Path) => void): void {
  for (const index of itemsOf(find(tree, list)).keys()) check([...list, index])
}
