import type { DeclaredModel } from '#core/declared.ts'
import { toGatewayError } from '#core/errors.ts'
import type { ListedModel, Server } from '#core/servers.ts'
import { dialectOf, type Examiner, modelFor, type Trial, targetFor } from '#src/compose/doctor.ts'
import { faultOf } from './faults.ts'
import { about, type Finding } from './finding.ts'

/** One model of a server, and what to check of it. */
export interface ModelAsked {
  readonly server: Server
  /** The name of the model at the server. */
  readonly name: string
  readonly listed: ListedModel | null
  readonly declared: DeclaredModel | null
  readonly examiner: Examiner
  readonly timeoutMs: number
}

/** The most tokens of an answer: enough for models that reason first, and few enough to stay cheap. */
const TOKENS = 128
const QUESTION = { messages: [{ role: 'user', content: 'Answer with one word: ready.' }], max_tokens: TOKENS }
const TOOL = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather of a city now.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
}
const TOOL_QUESTION = {
  messages: [{ role: 'user', content: 'What is the weather in Lisbon? Use the tool.' }],
  tools: [TOOL],
  max_tokens: 4 * TOKENS,
}

/** What to do about a server that has a model and does not answer for it: calls go to another path than lists. */
const LISTED_ONLY = 'Correct kind or base_url if they do not fit the server; see whether its key may use the model.'

/** Calls a model and checks the first streamed content, the usage and a tool call; or the vectors of a model that makes
 * embeddings. */
export async function checkModel(asked: ModelAsked): Promise<readonly Finding[]> {
  if (makesVectors(asked)) return [await embeddings(asked)]
  const { stream, usage } = await streams(asked)
  return [stream, ...(usage === null ? [] : [usage, await tools(asked)])]
}

function makesVectors({ name, listed, declared }: ModelAsked): boolean {
  return declared?.class === 'embedding' || listed?.embedding === true || /embed/i.test(name)
}

function call(asked: ModelAsked, endpoint: 'chat' | 'embeddings', body: object): Promise<Trial> {
  const target = targetFor(asked.server, asked.name, asked.timeoutMs)
  const timeoutMs = Math.min(asked.timeoutMs, target.timeouts.total)
  return asked.examiner.call(target, modelFor(target), { endpoint, body: { ...body, model: asked.name }, timeoutMs })
}

const subjectOf = ({ server, name }: ModelAsked) => `${server.id}/${name}`

async function streams(asked: ModelAsked): Promise<{ readonly stream: Finding; readonly usage: Finding | null }> {
  const { ok, failed } = about('stream', subjectOf(asked))
  const usage = about('usage', subjectOf(asked))
  try {
    const { firstMs, ms, hasUsage } = await call(asked, 'chat', {
      ...QUESTION,
      stream: true,
      stream_options: { include_usage: true },
    })
    return {
      stream: ok(`first content after ${Math.ceil(firstMs ?? ms)} ms, whole after ${Math.ceil(ms)} ms`),
      usage: hasUsage
        ? usage.ok('it counts its tokens')
        : usage.warning(
            'it does not count the tokens of streams',
            'Usage and budgets go by estimates. Update the server, or have it count (stream_options.include_usage).',
          ),
    }
  } catch (thrown) {
    const error = toGatewayError(thrown)
    const { detail, remedy } = faultOf(error)
    const stream =
      error.code === 'model_not_found' && asked.listed !== null
        ? failed(`it lists the model, but does not answer for it: ${detail}`, LISTED_ONLY)
        : failed(detail, remedy)
    return { stream, usage: null }
  }
}

async function tools(asked: ModelAsked): Promise<Finding> {
  const { ok, warning, skipped } = about('tools', subjectOf(asked))
  if (asked.declared?.capabilities.tools === false || asked.listed?.abilities?.tools === false) {
    return skipped('the configuration, or the server, says that it has none')
  }
  const remedy =
    'If the model can: start the server with tools (vLLM --enable-auto-tool-choice --tool-call-parser NAME, llama.cpp --jinja). If not: capabilities: { tools: false }, so that calls with tools go elsewhere.'
  try {
    const { toolCalls } = await call(asked, 'chat', TOOL_QUESTION)
    const names = toolCalls.map(part => part.function?.name)
    return names.includes(TOOL.function.name)
      ? ok('it calls a tool')
      : warning('it answers with text instead of calling a tool', remedy)
  } catch (thrown) {
    return warning(`it refuses tools: ${faultOf(toGatewayError(thrown)).detail}`, remedy)
  }
}

async function embeddings(asked: ModelAsked): Promise<Finding> {
  const { ok, failed } = about('embeddings', subjectOf(asked))
  if (dialectOf(asked.server)?.endpoints.has('embeddings') !== true) {
    return failed('servers of this kind make no vectors', 'Take a model of another server for embeddings.')
  }
  try {
    const { ms } = await call(asked, 'embeddings', { input: 'ready' })
    return ok(`a vector after ${Math.ceil(ms)} ms`)
  } catch (thrown) {
    const { detail } = faultOf(toGatewayError(thrown))
    return failed(
      `it makes no vectors: ${detail}`,
      'Start the server for embeddings (vLLM --runner pooling, llama.cpp --embeddings), or take the model out of the class.',
    )
  }
}
