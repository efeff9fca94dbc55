import { GatewayError } from '#core/errors.ts'
import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { isFilledArray, isMoreThanOne, refuse } from '../unsupported.ts'

interface Rule {
  readonly param: string
  readonly refused: (value: JsonValue) => boolean
  readonly instead: string
}

const RULES: readonly Rule[] = [
  { param: 'n', refused: isMoreThanOne, instead: 'send the request several times' },
  { param: 'logprobs', refused: value => value === true, instead: 'leave it out' },
  {
    param: 'logit_bias',
    refused: value => isObject(value) && Object.keys(value).length > 0,
    instead: 'leave it out',
  },
  {
    param: 'modalities',
    refused: value => Array.isArray(value) && value.some(kind => kind !== 'text'),
    instead: 'ask for text',
  },
  { param: 'audio', refused: isObject, instead: 'ask for text' },
  { param: 'functions', refused: isFilledArray, instead: 'use tools' },
  {
    param: 'web_search_options',
    refused: isObject,
    instead: 'add {"type": "web_search_20250305", "name": "web_search"} to tools',
  },
]

/** Refuses what would otherwise be left out in silence and give an answer that was not asked for.
 *
 * @throws GatewayError `unsupported_parameter`. */
export function refuseUnsupported(body: JsonObject): void {
  for (const { param, refused, instead } of RULES) if (refused(body[param])) throw refuse(param, param, instead)
}

/** The error for a value that is not valid in OpenAI's format. */
export function malformed(param: string, what: string): GatewayError {
  return new GatewayError('invalid_request', `${param}: ${what}.`, { param })
}
