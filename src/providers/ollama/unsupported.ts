import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonValue } from '#lib/json.ts'

interface Rule {
  readonly param: string
  readonly refused: (value: JsonValue) => boolean
  readonly what: string
  readonly instead: string
}

const isMoreThanOne = (value: JsonValue) => typeof value === 'number' && value > 1
const isFilledArray = (value: JsonValue) => Array.isArray(value) && value.length > 0

const BOTH: readonly Rule[] = [
  { param: 'n', refused: isMoreThanOne, what: 'several choices', instead: 'send the request several times' },
  {
    param: 'logit_bias',
    refused: value => isObject(value) && Object.keys(value).length > 0,
    what: 'logit_bias',
    instead: 'leave it out',
  },
]

const CHAT: readonly Rule[] = [
  ...BOTH,
  {
    param: 'modalities',
    refused: value => Array.isArray(value) && value.some(kind => kind !== 'text'),
    what: 'spoken answers',
    instead: 'ask for text',
  },
  { param: 'audio', refused: isObject, what: 'spoken answers', instead: 'ask for text' },
  { param: 'functions', refused: isFilledArray, what: 'functions', instead: 'use tools' },
  {
    param: 'response_format',
    refused: value => isObject(value) && !['text', 'json_object', 'json_schema'].includes(String(value.type)),
    what: 'this response_format',
    instead: 'use json_object or json_schema',
  },
  {
    param: 'tools',
    refused: value => Array.isArray(value) && value.some(tool => isObject(tool) && tool.type === 'custom'),
    what: 'custom tools',
    instead: 'use function tools',
  },
]

const COMPLETIONS: readonly Rule[] = [
  ...BOTH,
  { param: 'best_of', refused: isMoreThanOne, what: 'best_of', instead: 'send the request several times' },
  { param: 'echo', refused: value => value === true, what: 'echo', instead: 'put the prompt before the answer' },
  {
    param: 'logprobs',
    refused: value => typeof value === 'number',
    what: 'logprobs of completions',
    instead: 'use /v1/chat/completions',
  },
]

const RULES = { chat: CHAT, completions: COMPLETIONS, embeddings: [] } as const

/** Refuses what would otherwise be left out in silence and give an answer that was not asked for.
 *
 * @throws GatewayError `unsupported_parameter`. */
export function refuseUnsupported(call: Call): void {
  for (const { param, refused, what, instead } of RULES[call.endpoint]) {
    if (refused(call.body[param])) throw refuse(param, what, instead)
  }
}

/** The error for something that Ollama cannot do, with what to do instead. */
export function refuse(param: string, what: string, instead: string): GatewayError {
  return new GatewayError('unsupported_parameter', `The server of this model does not take ${what}; ${instead}.`, {
    param,
  })
}
