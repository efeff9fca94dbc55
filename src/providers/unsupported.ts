import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import type { Parameter } from './parameters.ts'

/** Something that a dialect cannot express, where leaving it out would give an answer that was not asked for. */
export interface Unsupported {
  readonly param: string
  readonly refused: (value: JsonValue) => boolean
  /** Completes "does not take …". */
  readonly what: string
  /** Completes "…; …." with what to do instead. */
  readonly instead: string
  /** Whether the parameter is accepted apart from this. */
  readonly partly?: boolean
}

export const isMoreThanOne = (value: JsonValue) => typeof value === 'number' && value > 1
export const isFilledArray = (value: JsonValue) => Array.isArray(value) && value.length > 0

/** Several choices in one answer. */
export const SEVERAL_CHOICES: Unsupported = {
  param: 'n',
  refused: isMoreThanOne,
  what: 'several choices',
  instead: 'send the request several times',
}

/** Changed probabilities of single tokens. */
export const LOGIT_BIAS: Unsupported = {
  param: 'logit_bias',
  refused: value => isObject(value) && Object.keys(value).length > 0,
  what: 'logit_bias',
  instead: 'leave it out',
}

/** The older form of tools. */
export const FUNCTIONS: Unsupported = {
  param: 'functions',
  refused: isFilledArray,
  what: 'functions',
  instead: 'use tools',
}

/** Answers that are not text. */
export const SPOKEN_ANSWERS: readonly Unsupported[] = [
  {
    param: 'modalities',
    refused: value => Array.isArray(value) && value.some(kind => kind !== 'text'),
    what: 'spoken answers',
    instead: 'ask for text',
  },
  { param: 'audio', refused: isObject, what: 'spoken answers', instead: 'ask for text' },
]

/** Tools that take free text. */
export const CUSTOM_TOOLS: Unsupported = {
  param: 'tools',
  refused: value => Array.isArray(value) && value.some(tool => isObject(tool) && tool.type === 'custom'),
  what: 'custom tools',
  instead: 'use function tools',
  partly: true,
}

/** Refuses what would otherwise be left out in silence.
 *
 * @throws GatewayError `unsupported_parameter`. */
export function refuseUnsupported(call: Call, rules: readonly Unsupported[]): void {
  for (const { param, refused, what, instead } of rules) {
    if (refused(call.body[param])) throw refuse(param, what, instead)
  }
}

/** Refuses a message of which a part would be left out: the older form of a tool call, or of its result, and what an
 * answer of another server may hold beside its text.
 *
 * @param place Where it stands in the body.
 * @param draws Whether the dialect takes pictures back.
 * @throws GatewayError `unsupported_parameter`. */
export function refuseUntakable(message: JsonObject, place: string, draws = false): void {
  const { role, function_call: given, audio, images, tool_calls: calls } = message
  if (role === 'function' || isObject(given)) throw refuse(place, 'calls of functions in the older form', 'use tools')
  if (role !== 'assistant') return
  if (isObject(audio)) throw refuse(`${place}.audio`, 'answers that were spoken', 'send their text')
  if (!draws && isFilledArray(images))
    throw refuse(`${place}.images`, 'pictures in answers', 'send them in a message of the user')
  const custom = Array.isArray(calls) ? calls.findIndex(call => isObject(call) && call.type === 'custom') : -1
  if (custom >= 0) throw refuse(`${place}.tool_calls.${custom}`, 'calls of custom tools', 'use function tools')
}

/** The parts of a message's content: a text is one, and there may be none.
 *
 * @param place Where the content stands in the body.
 * @throws GatewayError `invalid_request`. */
export function partsOf(content: JsonValue, place: string): readonly JsonValue[] {
  if (content === undefined || content === null) return []
  if (typeof content === 'string') return [content]
  if (isList(content)) return content
  throw new GatewayError('invalid_request', `${place}: must be text or a list of parts.`, { param: place })
}

/** What a message says where nobody knows refusals: the text of one that has no other content. */
export function contentOf({ content, refusal }: JsonObject): JsonValue {
  return (content ?? '') === '' && typeof refusal === 'string' && refusal !== '' ? refusal : content
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

/** The error for something that a dialect cannot do, with what to do instead. */
export function refuse(param: string, what: string, instead: string): GatewayError {
  return new GatewayError('unsupported_parameter', `The server of this model does not take ${what}; ${instead}.`, {
    param,
  })
}

/** The rows of the table of parameters that rules of refusal stand for. */
export function refusedParameters(rules: readonly Unsupported[]): Readonly<Record<string, Parameter>> {
  return Object.fromEntries(
    rules.map(({ param, what, instead, partly = false }) => [
      param,
      { treatment: partly ? 'passed' : 'refused', note: `no ${what}; ${instead}` },
    ]),
  )
}
