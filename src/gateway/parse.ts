import { type Call, DEPTH_MAX, type Endpoint, MEMBERS_MAX } from '#core/call.ts'
import { type Detail, GatewayError } from '#core/errors.ts'
import { excessIn, isDeeperThan, isObject, type JsonObject, parseJson } from '#lib/json.ts'

/** A text of more characters is scanned before it is parsed, because parsing deep nesting or many members blocks the
 * event loop. A shorter text cannot contain too many. */
const PARSE_FIRST_MAX = 256 * 1024
/** The most messages. No real conversation has as many. */
const MESSAGES_MAX = 10_000
/** The most inputs of an embedding. The answer to more has more members than are read of one, and would be taken for a
 * failure of the server. */
const INPUTS_MAX = 30_000
/** The most members of `metadata`, as with OpenAI. */
const METADATA_MAX = 16
const NAME_CHARACTERS_MAX = 256
/** The most fallbacks. Each of them is looked up among all models, and more could never be tried. */
const FALLBACKS_MAX = 100

const COMMON: readonly Check[] = [
  optional('model', isName, `must be a string of at most ${NAME_CHARACTERS_MAX} characters`),
  optional('stream', value => typeof value === 'boolean', 'must be true or false'),
  optional('stream_options', isObject, 'must be an object'),
  optional(
    'n',
    value => Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 128,
    'must be an integer from 1 to 128',
  ),
  optional('max_tokens', Number.isInteger, 'must be an integer'),
  optional('max_completion_tokens', Number.isInteger, 'must be an integer'),
  optional('temperature', isNumber, 'must be a number'),
  optional('top_p', isNumber, 'must be a number'),
  optional('tools', isList, `must be an array of at most ${MESSAGES_MAX} tools`),
  optional('metadata', isMetadata, `must be an object with at most ${METADATA_MAX} pairs`),
  optional('encoding_format', value => value === 'float' || value === 'base64', 'must be "float" or "base64"'),
  optional('cache', value => typeof value === 'boolean', 'must be true or false'),
  optional('fallbacks', isNames, `must be an array of at most ${FALLBACKS_MAX} model names`),
]

/** The fields that the gateway itself reads, and the types that they must have. */
const CHECKS: Readonly<Record<Endpoint, readonly Check[]>> = {
  chat: [
    required(
      'messages',
      isMessages,
      `must be a non-empty array of objects with a role, of at most ${MESSAGES_MAX} messages and parts`,
    ),
    ...COMMON,
  ],
  completions: [required('prompt', isPrompt, 'must be a string, an array of strings or an array of tokens'), ...COMMON],
  embeddings: [
    required(
      'input',
      isInput,
      `must be a string, an array of tokens or an array of at most ${INPUTS_MAX} strings or arrays of tokens`,
    ),
    ...COMMON,
  ],
}
type Check = (body: JsonObject) => Detail | null

/** Reads the body of a model call: JSON, not too deep, and of the right types where the gateway looks.
 *
 * @throws GatewayError `invalid_json` or `invalid_request` with every problem in `details`. */
export function parseCall(
  endpoint: Endpoint,
  text: string,
  from: Pick<Call, 'caller' | 'priority' | 'traceparent' | 'headers'>,
): Call {
  const body = parseBody(text)
  const details = problemsOf(endpoint, body)
  if (details.length > 0) {
    const [first] = details
    throw new GatewayError('invalid_request', `${first?.path}: ${first?.message}.`, { param: first?.path, details })
  }
  const options = body.stream_options
  return {
    endpoint,
    model: typeof body.model === 'string' ? body.model : null,
    body,
    source: text,
    stream: body.stream === true && endpoint !== 'embeddings',
    wantsUsage: isObject(options) && options.include_usage === true,
    fallbacks: (body.fallbacks as readonly string[] | undefined) ?? [],
    caller: from.caller,
    priority: from.priority,
    traceparent: from.traceparent,
    headers: from.headers,
  }
}

const NO_PROBLEMS: readonly Detail[] = []

function problemsOf(endpoint: Endpoint, body: JsonObject): readonly Detail[] {
  let details = NO_PROBLEMS
  for (const check of CHECKS[endpoint]) {
    const problem = check(body)
    if (problem !== null) details = [...details, problem]
  }
  return details
}

/** Reads a body that must be a JSON object, and not too deep.
 *
 * @throws GatewayError `invalid_json` or `invalid_request`. */
export function parseBody(text: string): JsonObject {
  const excess = text.length > PARSE_FIRST_MAX ? excessIn(text, DEPTH_MAX, MEMBERS_MAX) : null
  if (excess === 'depth') throw tooDeep()
  if (excess === 'members') {
    throw new GatewayError(
      'invalid_request',
      `The request body has more than ${MEMBERS_MAX} members, objects or lists.`,
    )
  }
  const body = parseJson(text)
  if (body === undefined) throw new GatewayError('invalid_json', jsonProblem(text))
  if (!isObject(body)) throw new GatewayError('invalid_request', 'The request body must be a JSON object.')
  if (text.length <= PARSE_FIRST_MAX && isDeeperThan(body, DEPTH_MAX)) throw tooDeep()
  return body
}

function tooDeep(): GatewayError {
  return new GatewayError('invalid_request', `The request body nests deeper than ${DEPTH_MAX} levels.`)
}

function jsonProblem(text: string): string {
  if (text.trim() === '') return 'The request body is empty; send a JSON object.'
  try {
    JSON.parse(text)
    return 'The request body is not valid JSON.'
  } catch (thrown) {
    const story = thrown instanceof SyntaxError ? thrown.message.replace(/^JSON Parse error: /, '').slice(0, 120) : ''
    return `The request body is not valid JSON${story === '' ? '' : `: ${story}`}.`
  }
}

function required(path: string, test: (value: unknown) => boolean, message: string): Check {
  return body => {
    if (body[path] === undefined) return { path, message: 'is required' }
    return test(body[path]) ? null : { path, message }
  }
}

function optional(path: string, test: (value: unknown) => boolean, message: string): Check {
  return body => (body[path] === undefined || body[path] === null || test(body[path]) ? null : { path, message })
}

function isNumber(value: unknown): boolean {
  return typeof value === 'number'
}

function isNames(value: unknown): boolean {
  return Array.isArray(value) && value.length <= FALLBACKS_MAX && value.every(isName)
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value.length <= NAME_CHARACTERS_MAX
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= MESSAGES_MAX
}

function isMetadata(value: unknown): boolean {
  return isObject(value) && Object.keys(value).length <= METADATA_MAX
}

function isMessages(value: unknown): boolean {
  if (!isList(value) || value.length === 0) return false
  let count = value.length
  for (const message of value) {
    if (!isObject(message) || typeof message.role !== 'string') return false
    if (Array.isArray(message.content)) count += message.content.length
  }
  return count <= MESSAGES_MAX
}

function isPrompt(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.length > 0)
}

function isInput(value: unknown): boolean {
  return isPrompt(value) && (!Array.isArray(value) || typeof value[0] === 'number' || value.length <= INPUTS_MAX)
}
