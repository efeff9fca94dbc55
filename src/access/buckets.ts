import { LRUCache } from 'lru-cache'
import type { Caller } from '#core/caller.ts'
import { type Bucket, type LimitSet, PERIODS } from '#core/limiter.ts'
import type { Model, Target } from '#core/servers.ts'
import { sha256 } from '#lib/hash.ts'
import { clientNetwork } from '#lib/net.ts'

/** The limits of the configuration. */
export interface Limits {
  readonly enabled: boolean
  readonly global: LimitSet
  readonly per_client: LimitSet
  readonly per_address: LimitSet
  readonly per_user: LimitSet
  /** By the name of the tenant; `*` for all others. */
  readonly per_tenant: Readonly<Record<string, LimitSet>>
  readonly per_model: Readonly<Record<string, LimitSet>>
  readonly per_class: Readonly<Record<string, LimitSet | undefined>>
}

/** The caller of a request, and for whom it asks. */
interface Asking {
  readonly caller: Caller
  readonly address: string
  /** The end user that the request names. */
  readonly user: string | null
}

/** The parts of a model that decide on its limits. Limits may be written for any of its names. */
interface LimitedModel extends Pick<Model, 'name' | 'aliases' | 'class'> {
  readonly targets: readonly Pick<Target, 'id'>[]
}

/** The buckets that a call takes from after its body was read, besides those of its caller. */
export interface CallBuckets {
  /** Requests and concurrency of the end user that the call names. */
  readonly user: readonly Bucket[]
  /** All buckets of tokens that the call counts for. */
  readonly tokens: readonly Bucket[]
  /** The buckets that limit a model. */
  model(model: LimitedModel): readonly Bucket[]
}

/** Finds the buckets of a request. Bucket objects are made once for each caller and each address. */
export interface Buckets {
  /** Requests and concurrency, of everybody and of the caller: known before the body is read. */
  ofCaller(caller: Caller, address: string): readonly Bucket[]
  /** The rest; `null` where nothing else is limited. */
  ofCall(asking: Asking): CallBuckets | null
}

const REMEMBERED_MAX = 10_000
/** A user with a longer name, in characters, is known by the hash of it. */
const USER_CHARACTERS_MAX = 64

/** Creates the lookup of the buckets. */
export function createBuckets(limits: Limits): Buckets {
  const none: readonly Bucket[] = []
  if (!limits.enabled) return { ofCaller: () => none, ofCall: () => null }
  const shared = bucketsOf('global', 'global', limits.global)
  const tenants = remember((tenant: string) =>
    bucketsOf(
      'tenant',
      `tenant:${tenant}`,
      (Object.hasOwn(limits.per_tenant, tenant) ? limits.per_tenant[tenant] : limits.per_tenant['*']) ?? {},
    ),
  )
  const addresses = remember((address: string) =>
    bucketsOf('address', `address:${clientNetwork(address)}`, limits.per_address),
  )
  const strangers = remember((address: string) =>
    bucketsOf('address', `client:${clientNetwork(address)}`, limits.per_client),
  )
  function own(caller: Caller, address: string): readonly Bucket[] {
    if (caller.role === 'anonymous') return strangers(address)
    return bucketsOf('key', `key:${caller.id}`, inPlaceOf(caller.limits ?? {}, limits.per_client))
  }

  const split = rememberEach(isLimited(limits.per_address), (caller, address) => {
    const who = whose(caller, address)
    const all = [...shared, ...tenants(caller.tenant), ...own(caller, address), ...addresses(address)]
    const { tokens, others } = byUnit(all)
    const call: CallBuckets = { user: none, tokens, model: rememberModels(model => ofModel(limits, who, model)) }
    return { who, others, call }
  })
  const users = remember((name: string) => byUnit(bucketsOf('user', `user:${name}`, limits.per_user)))
  const limitsUsers = isLimited(limits.per_user)
  const limitsModels = Object.keys(limits.per_model).length + Object.keys(limits.per_class).length > 0

  return {
    ofCaller: (caller, address) => split(caller, address).others,
    ofCall({ caller, address, user }) {
      const { call, who } = split(caller, address)
      if (limitsUsers && user !== null) {
        const { tokens, others } = users(`${who}:${shortened(user)}`)
        return { user: others, tokens: [...call.tokens, ...tokens], model: call.model }
      }
      return call.tokens.length === 0 && !limitsModels ? null : call
    },
  }
}

/** The buckets of a model: the shared ones, by any of its names, and the caller's own for its class. */
function ofModel({ per_model, per_class }: Limits, who: string, model: LimitedModel): readonly Bucket[] {
  // Callers may also name a model by its only target.
  const names = new Set([model.name, ...model.aliases, ...model.targets.map(({ id }) => id)])
  const ofAll = [...names].flatMap(name =>
    Object.hasOwn(per_model, name) ? bucketsOf('model', `model:${name}`, per_model[name] ?? {}) : [],
  )
  const ofClass = model.class === null ? undefined : per_class[model.class]
  return ofClass === undefined ? ofAll : [...ofAll, ...bucketsOf('class', `class:${who}:${model.name}`, ofClass)]
}

function whose(caller: Caller, address: string): string {
  return caller.role === 'anonymous' ? `client:${clientNetwork(address)}` : `key:${caller.id}`
}

function shortened(user: string): string {
  return user.length <= USER_CHARACTERS_MAX ? user : sha256(user)
}

/** Combines the limits of a key with those of every client, which hold where the key sets none. A burst belongs to the
 * limit beside which it was written. */
function inPlaceOf(own: LimitSet, usual: LimitSet): LimitSet {
  const set = Object.entries(own).filter(([, value]) => value !== null && value !== undefined)
  const burst = own.burst ?? (typeof own.requests_per_minute === 'number' ? null : usual.burst)
  return { ...usual, ...Object.fromEntries(set), burst }
}

/** Makes the buckets of a set of limits. The burst applies to the shortest period; in longer periods the whole limit
 * may be used at once. */
function bucketsOf(scope: string, name: string, limits: LimitSet): readonly Bucket[] {
  const buckets: Bucket[] = []
  let { burst } = limits
  for (const [period, periodMs] of PERIODS) {
    const limit = limits[`requests_per_${period}`] ?? 0
    if (limit <= 0) continue
    const full = Math.max(1, burst ?? limit)
    const key = `${name}:requests/${period}${full === limit ? '' : `~${spanOf(full, limit, periodMs)}`}`
    buckets.push({ key, scope, unit: 'requests', limit, periodMs, burst: full })
    burst = null
  }
  for (const [period, periodMs] of PERIODS) {
    const limit = limits[`tokens_per_${period}`] ?? 0
    if (limit > 0) {
      buckets.push({ key: `${name}:tokens/${period}`, scope, unit: 'tokens', limit, periodMs, burst: limit })
    }
  }
  const limit = limits.concurrent_requests ?? 0
  if (limit > 0)
    buckets.push({ key: `${name}:concurrent`, scope, unit: 'concurrent', limit, periodMs: 0, burst: limit })
  return buckets
}

/** How long a bucket takes to fill, in milliseconds; part of its key. Stores keep the time until a bucket is full: with
 * the same key after a reload, a bucket that fills in six seconds could inherit a debt of a minute and refuse everybody
 * until it is paid. */
function spanOf(burst: number, limit: number, periodMs: number): number {
  return Math.round((burst / limit) * periodMs)
}

function isLimited(limits: LimitSet): boolean {
  return bucketsOf('', '', limits).length > 0
}

function remember<T extends object>(make: (name: string) => T): (name: string) => T {
  const made = new LRUCache<string, T>({ max: REMEMBERED_MAX })
  return name => {
    let value = made.get(name)
    if (value === undefined) {
      value = make(name)
      made.set(name, value)
    }
    return value
  }
}

/** Keeps the buckets of a model as long as the model object exists. */
function rememberModels(make: (model: LimitedModel) => readonly Bucket[]): CallBuckets['model'] {
  const made = new WeakMap<LimitedModel, readonly Bucket[]>()
  return model => {
    let buckets = made.get(model)
    if (buckets === undefined) {
      buckets = make(model)
      made.set(model, buckets)
    }
    return buckets
  }
}

type OfCaller<T> = (caller: Caller, address: string) => T

/** Keeps what is made for a caller; for each of its addresses, where addresses have limits. */
function rememberEach<T>(addressesCount: boolean, make: OfCaller<T>): OfCaller<T> {
  const byCaller = new WeakMap<Caller, { readonly value: T }>()
  const byAddress = new LRUCache<string, { readonly caller: Caller; readonly value: T }>({ max: REMEMBERED_MAX })
  return (caller, address) => {
    const named = caller.role !== 'anonymous'
    if (named && !addressesCount) {
      const known = byCaller.get(caller)
      if (known !== undefined) return known.value
      const value = make(caller, address)
      byCaller.set(caller, { value })
      return value
    }
    const key = named ? `${address} ${caller.id}` : address
    const known = byAddress.get(key)
    if (known?.caller === caller) return known.value
    const value = make(caller, address)
    byAddress.set(key, { caller, value })
    return value
  }
}

/** Separates the buckets of tokens from the others: they are taken later. */
function byUnit(buckets: readonly Bucket[]): {
  readonly tokens: readonly Bucket[]
  readonly others: readonly Bucket[]
} {
  return {
    tokens: buckets.filter(({ unit }) => unit === 'tokens'),
    others: buckets.filter(({ unit }) => unit !== 'tokens'),
  }
}
