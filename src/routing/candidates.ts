import type { Call, Endpoint } from '#core/call.ts'
import { type Caller, mayUse } from '#core/caller.ts'
import { GatewayError } from '#core/errors.ts'
import type { Model, Target } from '#core/servers.ts'
import type { Snapshot } from '#core/snapshot.ts'
import { closest } from '#lib/closest.ts'

/** The model name with which a caller lets the gateway choose. */
const AUTO = 'auto'
const SHOWN_NAMES = 3
const SHOWN_CHARACTERS = 128

/** The parts of a call that decide which models may answer it. */
export type Wanted = Pick<Call, 'model' | 'caller' | 'endpoint'>

/** The models that may answer a call. */
export interface Resolution {
  /** At least one; several when the gateway may choose. */
  readonly models: readonly Model[]
  /** The one target that was asked for as `server/model`. */
  readonly target: Target | null
}

/** Finds the model that a call names, or the models among which the gateway chooses.
 *
 * @throws GatewayError `model_not_found`, `model_not_allowed`, or `invalid_request` when no model is named and there is
 * no default. */
export function resolveModels(wanted: Wanted, snapshot: Snapshot): Resolution {
  const { model, caller, endpoint } = wanted
  const named = model !== null && model !== '' && (model !== AUTO || snapshot.models.has(AUTO))
  if (!snapshot.settings.modelRoutingEnabled) {
    // Vectors of different models cannot be compared, so a named embedding model is never replaced.
    const kept = named && endpoint === 'embeddings' ? findModel(model, snapshot) : null
    if (kept?.models[0]?.class !== 'embedding') return byDefault(wanted, snapshot)
  }
  if (named) return byName(model, caller, snapshot)
  if (snapshot.settings.intelligentRouting) {
    const models = allowed(eligibleModels(snapshot, endpoint), caller)
    if (models.length > 0) return { models, target: null }
  }
  return byDefault(wanted, snapshot)
}

function allowed(models: readonly Model[], caller: Caller): readonly Model[] {
  return models.filter(model => mayCall(caller, model))
}

/** The model behind a public name, an alias or `server/model`; `null` when there is none. */
export function findModel(name: string, snapshot: Snapshot): Resolution | null {
  const direct = snapshot.models.get(name)
  if (direct !== undefined) return { models: [direct], target: null }
  const model = snapshot.models.get(snapshot.names.get(name) ?? '')
  if (model === undefined) return null
  return { models: [model], target: targetOf(model, name) }
}

function targetOf({ targets }: Model, id: string): Target | null {
  for (const target of targets) if (target.id === id) return target
  return null
}

/** Whether a caller may use a model: its list may hold the public name or any alias. */
export function mayCall(caller: Caller, model: Model): boolean {
  if (mayUse(caller, model.name)) return true
  for (const alias of model.aliases) if (mayUse(caller, alias)) return true
  return false
}

/** Whether a model is of the kind that an endpoint needs, as far as is known.
 *
 * @param certain Whether an embedding model must be known to be one, as it must when the gateway chooses the model. */
export function suits(model: Model, endpoint: Endpoint, certain: boolean): boolean {
  if (endpoint !== 'embeddings') return model.class !== 'embedding'
  return model.class === 'embedding' || (!certain && model.class === null)
}

/** The models that may answer a call without a model, in the order of the configuration. */
export function eligibleModels(snapshot: Snapshot, endpoint: Endpoint): readonly Model[] {
  const models: Model[] = []
  for (const model of snapshot.models.values()) if (model.eligible && suits(model, endpoint, true)) models.push(model)
  return models
}

function byName(name: string, caller: Caller, snapshot: Snapshot): Resolution {
  const found = findModel(name, snapshot)
  if (found === null) throw notFound(name, caller, snapshot)
  const allowed = allowedOf(found, name, caller, snapshot)
  if (allowed === null) throw notAllowed(name)
  return allowed
}

/** The model that a caller may call by a name; `null` when there is no such model, or the caller may not use it. */
export function findAllowed(name: string, caller: Caller, snapshot: Snapshot): Resolution | null {
  const found = findModel(name, snapshot)
  return found === null ? null : allowedOf(found, name, caller, snapshot)
}

function allowedOf(found: Resolution, name: string, caller: Caller, snapshot: Snapshot): Resolution | null {
  const [model] = found.models
  if (model !== undefined && (mayCall(caller, model) || mayUse(caller, name))) return found
  if (found.target === null) return null
  // The key may be allowed another model that has the same target.
  for (const other of snapshot.models.values()) {
    const target = mayCall(caller, other) ? targetOf(other, name) : null
    if (target !== null) return { models: [other], target }
  }
  return null
}

function byDefault({ caller, endpoint }: Wanted, snapshot: Snapshot): Resolution {
  const { defaultModel } = snapshot.settings
  const found = defaultModel === null ? null : findModel(defaultModel, snapshot)
  if (defaultModel !== null && found === null) throw notFound(defaultModel, caller, snapshot)
  const standing = (certain: boolean) => found?.models.some(model => suits(model, endpoint, certain)) === true
  if (defaultModel !== null && standing(true)) return byName(defaultModel, caller, snapshot)
  const models = eligibleModels(snapshot, endpoint)
  const first = models.find(model => mayCall(caller, model))
  if (first !== undefined) return { models: [first], target: null }
  if (defaultModel !== null && standing(false)) return byName(defaultModel, caller, snapshot)
  if (models.length > 0) throw notAllowed(AUTO)
  throw new GatewayError(
    'invalid_request',
    'model is required: no model answers calls that name none. ' +
      'Name one of GET /v1/models, or let the operator set gateway.default_model.',
    { param: 'model' },
  )
}

function notFound(name: string, caller: Caller, snapshot: Snapshot): GatewayError {
  const near = closest(name, namesFor(caller, snapshot), SHOWN_NAMES)
  const hint = near.length === 0 ? 'GET /v1/models lists the models' : `did you mean ${near.map(quoted).join(' or ')}?`
  const end = near.length === 0 ? '.' : ''
  return new GatewayError('model_not_found', `The model ${quoted(name)} does not exist: ${hint}${end}`, {
    param: 'model',
  })
}

function* namesFor(caller: Caller, snapshot: Snapshot): Iterable<string> {
  for (const model of snapshot.models.values()) {
    if (!mayCall(caller, model)) continue
    yield model.name
    yield* model.aliases
  }
}

function notAllowed(name: string): GatewayError {
  const message =
    name === AUTO
      ? 'This key may use none of the models that answer calls which name none.'
      : `This key may not use the model ${quoted(name)}.`
  return new GatewayError('model_not_allowed', message, { param: 'model' })
}

function quoted(name: string): string {
  return `"${name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name}"`
}
