import type { Delivered } from '#core/attempt.ts'
import { estimateTokens } from '#core/usage.ts'
import { sha256 } from '#lib/hash.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { refuse } from '../unsupported.ts'
import { type Conversation, type Turn, toConversation } from './messages.ts'
import { type Traits, traitsOf } from './models.ts'
import { toOutput } from './output.ts'
import { treatmentOf } from './parameters.ts'
import { type Fields, toSampling, toStops } from './sampling.ts'
import { isResumable, type Thinking, toThinking, wantsThinking } from './thinking.ts'
import { isForced } from './tools.ts'
import { refuseUnsupported } from './unsupported.ts'

/** The longest answer that is asked of an unknown model, in tokens. */
const OUTPUT_MAX = 4096

/** Builds the body of a chat, and names the caller's parameters that were left out of it.
 *
 * @throws GatewayError `unsupported_parameter` for what the API cannot do. */
export function toBody(body: JsonObject, model: string, delivered?: Delivered): Fields {
  refuseUnsupported(body)
  const traits = traitsOf(model)
  const { format, tools } = toOutput(body, traits)
  const forced = isForced(tools)
  if (forced && !traits.forcedTools) throw refuse('tool_choice', 'a forced tool', 'use auto')
  const maxTokens = toMaxTokens(body, traits, delivered)
  const { thinking, conversation } = think(body, traits, { maxTokens, forced })
  const turns = delivered === undefined ? conversation.turns : goOn(conversation, traits, thinking, delivered)
  const sampling = toSampling(body, traits, thinking.on)
  const stops = toStops(body)
  const tier = toServiceTier(body.service_tier)
  const metadata = toMetadata(body)
  const { passed, dropped } = sort(body)
  const fields: JsonObject = {
    ...passed,
    model,
    max_tokens: maxTokens,
    ...(conversation.system.length > 0 && { system: conversation.system }),
    messages: turns.map(({ role, content }) => ({ role, content })),
    ...stops.fields,
    ...sampling.fields,
    tools: tools.tools,
    tool_choice: tools.choice,
    thinking: thinking.config,
    output_config: toOutputConfig(body.output_config, thinking.effort, format),
    metadata: metadata.value,
    service_tier: tier,
  }
  const left = [
    ...dropped,
    ...(thinking.dropped === undefined ? [] : [thinking.dropped]),
    ...sampling.dropped,
    ...stops.dropped,
    ...(tier === undefined && isSaid(body.service_tier) ? ['service_tier'] : []),
    ...(metadata.isWhole ? [] : ['metadata']),
  ]
  return { fields, dropped: left }
}

/** The fields that are passed on unchanged, and the names of those that are left out. */
function sort(body: JsonObject): { readonly passed: JsonObject; readonly dropped: readonly string[] } {
  const passed: Record<string, JsonValue> = {}
  const dropped: string[] = []
  for (const name in body) {
    const value = body[name]
    if (!isSaid(value)) continue
    const treatment = treatmentOf(name)
    if (treatment === 'passed') passed[name] = value
    else if (treatment === 'dropped') dropped.push(name)
  }
  return { passed, dropped }
}

/** Whether a value asks for something: zero, `false` and empty lists are the default behaviour. */
function isSaid(value: JsonValue): boolean {
  return Array.isArray(value) ? value.length > 0 : Boolean(value)
}

function toMaxTokens(body: JsonObject, { outputMax }: Traits, delivered: Delivered | undefined): number {
  const wanted = body.max_completion_tokens ?? body.max_tokens
  const most = outputMax ?? Number.POSITIVE_INFINITY
  const whole = typeof wanted === 'number' ? Math.min(wanted, most) : (outputMax ?? OUTPUT_MAX)
  return delivered === undefined ? whole : Math.max(1, whole - estimateTokens(delivered.text.length))
}

/** The settings for thinking, and the conversation with earlier thoughts where the API takes them. */
function think(
  body: JsonObject,
  traits: Traits,
  asked: { readonly maxTokens: number; readonly forced: boolean },
): { readonly thinking: Thinking; readonly conversation: Conversation } {
  // A model that thinks only when asked to does not get its earlier thoughts back when it is not asked to think.
  const asks = traits.thinking === 'budget' ? wantsThinking(body) : traits.thinking !== 'none'
  const conversation = toConversation(body.messages, asks)
  const thinking = toThinking({ body, traits, ...asked, resumable: () => isResumable(conversation.turns) })
  const isApart = asks && !thinking.on && traits.thinking === 'budget'
  return { thinking, conversation: isApart ? toConversation(body.messages, false) : conversation }
}

/** Lets the model go on from the beginning of its answer.
 *
 * @throws GatewayError `unsupported_parameter` where it would begin anew instead. */
function goOn({ turns }: Conversation, traits: Traits, { on }: Thinking, { text }: Delivered): readonly Turn[] {
  // The API refuses a last text that ends with white space; without the white space the two parts would not fit
  // together.
  if (!traits.prefill || on || text !== text.trimEnd()) {
    throw refuse('messages', 'the beginning of an answer', 'let it begin anew')
  }
  return [...turns, { role: 'assistant', content: [{ type: 'text', text }] }]
}

function toOutputConfig(own: JsonValue, effort: string | undefined, format: JsonObject | undefined) {
  if (effort === undefined && format === undefined) return isObject(own) ? own : undefined
  return { ...(isObject(own) && own), ...(effort !== undefined && { effort }), ...(format !== undefined && { format }) }
}

/** Matches e-mail addresses and telephone numbers, which the API refuses as the id of a user. */
const PERSONAL = /@|^\+?[\d\s().-]{7,}$/

/** Replaces an id that is personal by its hash, which tells users apart as well. */
function toOpaque(id: string): string {
  return PERSONAL.test(id) ? sha256(id) : id
}

function toMetadata({ user, safety_identifier: identifier, metadata }: JsonObject) {
  const { user_id, ...rest } = isObject(metadata) ? metadata : {}
  const id = [user_id, identifier, user].find(value => typeof value === 'string' && value !== '')
  return {
    value: typeof id === 'string' ? { user_id: toOpaque(id) } : undefined,
    isWhole: Object.keys(rest).length === 0,
  }
}

function toServiceTier(tier: JsonValue): string | undefined {
  if (tier === 'default' || tier === 'standard_only') return 'standard_only'
  return tier === 'auto' ? 'auto' : undefined
}
