import { isObject } from '#lib/json.ts'
import {
  CUSTOM_TOOLS,
  FUNCTIONS,
  isMoreThanOne,
  LOGIT_BIAS,
  SEVERAL_CHOICES,
  SPOKEN_ANSWERS,
  type Unsupported,
} from '../unsupported.ts'

const CHAT: readonly Unsupported[] = [
  SEVERAL_CHOICES,
  LOGIT_BIAS,
  ...SPOKEN_ANSWERS,
  FUNCTIONS,
  {
    param: 'response_format',
    refused: value => isObject(value) && !['text', 'json_object', 'json_schema'].includes(String(value.type)),
    what: 'this response_format',
    instead: 'use json_object or json_schema',
    partly: true,
  },
  CUSTOM_TOOLS,
]

const COMPLETIONS: readonly Unsupported[] = [
  SEVERAL_CHOICES,
  LOGIT_BIAS,
  { param: 'best_of', refused: isMoreThanOne, what: 'best_of', instead: 'send the request several times' },
  { param: 'echo', refused: value => value === true, what: 'echo', instead: 'put the prompt before the answer' },
  {
    param: 'logprobs',
    refused: value => typeof value === 'number',
    what: 'logprobs of completions',
    instead: 'use /v1/chat/completions',
  },
]

/** What Ollama cannot do, by endpoint. */
export const UNSUPPORTED = { chat: CHAT, completions: COMPLETIONS, embeddings: [] } as const
