import { isObject, type JsonObject, type JsonValue } from '#lib/json.ts'
import { refuse } from '../unsupported.ts'
import { toGeminiName } from './names.ts'
import { toGeminiSchema } from './schema.ts'

/** Builds `tools` and `toolConfig`; nothing where there are no tools. */
export function toGeminiTools(body: JsonObject): JsonObject {
  const { tools, tool_choice: choice } = body
  if (!Array.isArray(tools) || tools.length === 0) return {}
  const functions = tools.map(toFunction)
  const { mode, names } = toChoice(choice)
  // The API takes names only in the mode in which one of the functions must be called.
  const declared = mode === 'AUTO' && names !== null ? functions.filter(each => names.includes(each.name)) : functions
  if (declared.length === 0) return {}
  return {
    tools: [{ functionDeclarations: declared.map(toDeclaration) }],
    toolConfig:
      choice === undefined || choice === null
        ? undefined
        : {
            functionCallingConfig: {
              mode,
              allowedFunctionNames: mode === 'ANY' ? names?.map(toGeminiName) : undefined,
            },
          },
  }
}

function toFunction(tool: JsonValue, at: number): JsonObject {
  if (isObject(tool) && tool.type === 'function' && isObject(tool.function)) return tool.function
  throw refuse(`tools.${at}`, 'tools other than functions', 'use function tools')
}

/** Leaves out a schema without properties: it says nothing, and older models refuse it. */
function toDeclaration({ name, description, parameters }: JsonObject): JsonObject {
  const isEmpty = !isObject(parameters) || Object.keys(parameters).length === 0
  return {
    name: toGeminiName(name),
    description,
    parametersJsonSchema: isEmpty ? undefined : toGeminiSchema(parameters).schema,
  }
}

interface Choice {
  readonly mode: 'AUTO' | 'NONE' | 'ANY'
  /** The functions that may be called; `null` = all. */
  readonly names: readonly JsonValue[] | null
}

function toChoice(choice: JsonValue): Choice {
  if (choice === 'none') return { mode: 'NONE', names: null }
  if (choice === 'required') return { mode: 'ANY', names: null }
  if (!isObject(choice)) return { mode: 'AUTO', names: null }
  if (isObject(choice.function)) return { mode: 'ANY', names: [choice.function.name] }
  if (!isObject(choice.allowed_tools)) throw refuse('tool_choice', 'this tool_choice', 'name a function tool')
  const { mode, tools } = choice.allowed_tools
  const names = Array.isArray(tools) ? tools.map(tool => (isObject(tool) ? nameOf(tool) : null)) : []
  return { mode: mode === 'required' ? 'ANY' : 'AUTO', names }
}

function nameOf(tool: JsonObject): JsonValue {
  return isObject(tool.function) ? tool.function.name : tool.name
}
