import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'

/** A function tool that takes texts. */
export function toolOf(name: string, description: string, properties: JsonObject, required?: readonly string[]) {
  return { type: 'function', function: { name, description, parameters: { type: 'object', properties, required } } }
}

const user = (content: JsonValue) => [{ role: 'user', content }]
const system = (content: string) => ({ role: 'system', content })

const weather = toolOf(
  'weather',
  'Gets current weather for a location',
  {
    latitude: { type: 'string', description: 'Latitude (e.g., 52.5200)' },
    longitude: { type: 'string', description: 'Longitude (e.g., 13.4050)' },
  },
  ['latitude', 'longitude'],
)

const BERLIN = "What's the weather in Berlin? (52.5200, 13.4050)"
const MIRROR =
  'If a magic mirror shows your future self, but only if you ask a question it cannot answer truthfully, what question do you ask to see your future, and what would the mirror reveal about the answer it gives?'
const CAPITAL = 'What is the capital of France?'
const RESULT = {
  name: 'weather',
  content: [{ text: 'Current weather at 52.5200, 13.4050: 15°C, Wind: 10 km/h' }],
}
const long = '<MASSIVE_TEXT>'
const thoughts = { thinking_config: { includeThoughts: true, thinkingLevel: 'low' } }

/** For each recorded case with a request: what an OpenAI client sends that means the same. */
export const ASKED: Readonly<Record<string, (recorded: JsonObject) => JsonObject>> = {
  'embed-batch-dimensions': () => ({ input: 'Hello, world!', dimensions: 768, task_type: 'RETRIEVAL_QUERY' }),
  'error-400-api-key': () => ({ messages: user('Hello') }),
  'error-429-quota': () => ({
    messages: [
      ...Array.from({ length: 10 }, (_, at) => ({ role: at % 2 === 0 ? 'user' : 'assistant', content: long })),
      ...user('Hi'),
    ],
  }),
  'generate-function-call': () => ({ messages: user(BERLIN), tools: [weather] }),
  'generate-function-call-gemini3-signature': () => ({
    messages: user(BERLIN),
    tools: [weather],
    reasoning_effort: 'low',
  }),
  'generate-function-call-no-args': () => ({
    messages: user('run bar for me please'),
    tools: [
      toolOf('bar', '', {}),
      toolOf('final_result', 'The final response which ends this conversation', { bar: { type: 'string' } }, ['bar']),
    ],
    tool_choice: {
      type: 'allowed_tools',
      allowed_tools: {
        mode: 'required',
        tools: ['bar', 'final_result'].map(name => ({ type: 'function', function: { name } })),
      },
    },
  }),
  'generate-function-response-turn': recorded => ({
    messages: [
      ...user(BERLIN),
      {
        role: 'assistant',
        content: null,
        tool_calls: [
          {
            id: 'call_1',
            type: 'function',
            function: { name: 'weather', arguments: '{"latitude":"52.5200","longitude":"13.4050"}' },
            extra_content: { google: { thought_signature: signatureIn(recorded) } },
          },
        ],
      },
      { role: 'tool', tool_call_id: 'call_1', content: JSON.stringify(RESULT) },
    ],
    tools: [weather],
  }),
  'generate-image-input': recorded => ({
    messages: [
      system('You are a helpful chatbot.'),
      ...user([
        { type: 'text', text: 'What is this vegetable?' },
        { type: 'image_url', image_url: { url: `data:image/jpeg;base64,${imageIn(recorded)}` } },
      ]),
    ],
  }),
  'generate-logprobs': () => ({ messages: user('What is 2+2?'), logprobs: true, top_logprobs: 5 }),
  'generate-max-tokens': () => ({
    messages: [system('You are a helpful chatbot.'), ...user(CAPITAL)],
    max_tokens: 5,
    extra_body: { google: { thinking_config: { thinking_budget: 0 } } },
  }),
  'generate-max-tokens-empty': () => ({
    messages: [{ role: 'developer', content: 'You are a helpful chatbot.' }, ...user(CAPITAL)],
    max_completion_tokens: 5,
  }),
  'generate-stop-sequences': () => ({
    messages: user(`${CAPITAL} Give me an answer that contains the word "Paris", but is not the first word.`),
    stop: 'Paris',
  }),
  'generate-text-exact-bytes': () => ({ messages: user("What's 2 + 2?") }),
  'generate-thoughts': () => ({ messages: user(MIRROR), reasoning_effort: 'low' }),
  'stream-function-call': () => ({ messages: user(BERLIN), tools: [weather] }),
  'stream-function-call-parallel': () => ({
    messages: [
      system('Be very terse, not even punctuation.'),
      ...user(
        "\n        What are Joe and Hadley's favourite colours?\n        Answer like name1: colour1, name2: colour2\n    ",
      ),
    ],
    temperature: 0,
    tools: [
      toolOf('favorite_color', "Returns a person's favourite colour", { _person: { type: 'string' } }, ['_person']),
    ],
  }),
  'stream-function-call-signature': () => ({
    messages: user('What is the capital of the user country? Call the tool'),
    tools: [
      {
        type: 'function',
        function: {
          name: 'get_country',
          description: '',
          parameters: { additionalProperties: false, properties: {}, type: 'object' },
        },
      },
    ],
  }),
  'stream-text-usage-progress': () => ({ messages: user('Count from 1 to 30, one number per line, digits only.') }),
  'stream-thoughts': () => ({ messages: user(MIRROR), extra_body: { google: thoughts } }),
}

/** A recorded request with what other clients write in another way written as the gateway does.
 *
 * Schemas go under `parametersJsonSchema`, with types in lower case; what says nothing is left out. */
export function normalized(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(normalized)
  if (!isObject(value)) return value
  const out: Record<string, JsonValue> = {}
  for (const [key, member] of Object.entries(value)) {
    if (key === 'responseModalities' || (isObject(member) && Object.keys(member).length === 0 && key !== 'properties'))
      continue
    if (key === 'systemInstruction' && isObject(member)) out[key] = { parts: normalized(member.parts) }
    else if (key === 'parameters' || key === 'parameters_json_schema') out.parametersJsonSchema = lowered(member)
    else if (key === 'generationConfig') out[key] = withoutEmpty(normalized(member))
    else out[key] = normalized(member)
  }
  return withoutEmpty(out)
}

function withoutEmpty(value: JsonValue): JsonValue {
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).filter(
      ([key, member]) => !(key === 'generationConfig' && isObject(member) && Object.keys(member).length === 0),
    ),
  )
}

function lowered(schema: JsonValue): JsonValue {
  if (Array.isArray(schema)) return schema.map(lowered)
  if (!isObject(schema)) return schema
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => [key, key === 'type' ? String(value).toLowerCase() : lowered(value)]),
  )
}

/** All values below a key, anywhere in a request. */
function findAll(value: JsonValue, key: string): JsonValue[] {
  if (Array.isArray(value)) return value.flatMap(member => findAll(member, key))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([name, member]) => [...(name === key ? [member] : []), ...findAll(member, key)])
}

function signatureIn(recorded: JsonObject): JsonValue {
  return findAll(recorded, 'thoughtSignature')[0]
}

function imageIn(recorded: JsonObject): string {
  return String(findAll(recorded, 'data')[0])
}
