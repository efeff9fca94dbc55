import type { Candidate } from '#core/attempt.ts'
import type { Call } from '#core/call.ts'
import { GatewayError } from '#core/errors.ts'
import type { Abilities, Target } from '#core/servers.ts'
import { estimateTokens, promptLength } from '#core/usage.ts'
import { isObject, type JsonValue } from '#lib/json.ts'

/** What at least one of some candidates cannot do. A call is checked only for these abilities. */
export interface Limits {
  readonly tools: boolean
  readonly vision: boolean
  readonly json_schema: boolean
  /** The shortest context length, in tokens. */
  readonly context: number
}

/** What a call needs of a model, as far as some candidate lacks it. */
interface Needs {
  readonly tools: boolean
  readonly vision: boolean
  readonly json_schema: boolean
  /** Tokens of prompt and answer, estimated; 0 when they fit anywhere. */
  readonly tokens: number
}

/** For calls whose candidates are not known: every ability is checked. */
export const ANY_LIMITS: Limits = { tools: true, vision: true, json_schema: true, context: 0 }

/** The abilities that a model may lack: the field of the body that needs each, and the words for a message. */
const LACKS = {
  tools: { param: 'tools', words: 'cannot call tools' },
  vision: { param: 'messages', words: 'cannot read images' },
  json_schema: { param: 'response_format', words: 'cannot follow a JSON schema' },
} as const

/** What some of these candidates cannot do; `null` when no such limit is known. */
export function limitsOf(groups: readonly (readonly Candidate[])[]): Limits | null {
  const all = groups.flat().flatMap(({ target }) => target.abilities ?? [])
  const lacks = (what: keyof typeof LACKS) => all.some(abilities => abilities[what] === false)
  const context = Math.min(...all.map(abilities => abilities.context_length ?? Infinity))
  const limits = { tools: lacks('tools'), vision: lacks('vision'), json_schema: lacks('json_schema'), context }
  return limits.tools || limits.vision || limits.json_schema || context < Infinity ? limits : null
}

/** What a call needs that some candidate lacks; `null` when every candidate can answer it. */
export function needsOf({ body, source }: Call, limits: Limits): Needs | null {
  const needs = {
    tools: limits.tools && (isFilled(body.tools) || isFilled(body.functions)),
    vision: limits.vision && hasImage(body.messages),
    json_schema: limits.json_schema && isObject(body.response_format) && body.response_format.type === 'json_schema',
    // A text rarely has more tokens than characters.
    tokens: source !== null && source.length + answerMax(body) <= limits.context ? 0 : tokensOf(body),
  }
  return needs.tools || needs.vision || needs.json_schema || needs.tokens > limits.context ? needs : null
}

/** Removes the candidates that cannot do what is asked. One whose context only seems too short is kept when no other
 * one could be asked now, because the length of a prompt is an estimate.
 *
 * @param isOpen Whether a candidate may be tried now.
 * @throws GatewayError `unsupported_parameter` when none is left. */
export function separate(
  groups: readonly (readonly Candidate[])[],
  needs: Needs,
  isOpen: (candidate: Candidate) => boolean,
) {
  const all = groups.flat()
  const excluded = new Map<Candidate, string>()
  let param: string | null = null
  for (const candidate of all) {
    const lack = lackOf(candidate.target.abilities, needs)
    if (lack === null) continue
    excluded.set(candidate, lack.words)
    param ??= lack.param
  }
  if (excluded.size === all.length && param !== null) {
    const [words] = excluded.values()
    throw new GatewayError('unsupported_parameter', `This model ${words}.`, { param })
  }
  const able = all.filter(candidate => !excluded.has(candidate))
  const long = new Set(able.filter(({ target }) => isTooShort(target, needs.tokens)))
  if (able.some(candidate => !long.has(candidate) && isOpen(candidate))) {
    for (const candidate of long) {
      excluded.set(
        candidate,
        `holds ${candidate.target.abilities?.context_length} tokens, this call may need ${needs.tokens}`,
      )
    }
  }
  return {
    keeps: (candidate: Candidate) => !excluded.has(candidate),
    excluded: [...excluded].map(([candidate, reason]) => ({ ...candidate, reason })),
  }
}

/** What a call asks that a candidate cannot do, in public words; `null` where nothing is known. */
export function lackFor({ target }: Candidate, call: Call): string | null {
  const needs = needsOf(call, ANY_LIMITS)
  return needs === null ? null : (lackOf(target.abilities, needs)?.words ?? null)
}

function lackOf(abilities: Abilities | undefined, needs: Needs) {
  for (const what of ['tools', 'vision', 'json_schema'] as const) {
    if (needs[what] && abilities?.[what] === false) return LACKS[what]
  }
  return null
}

function isTooShort({ abilities }: Target, tokens: number): boolean {
  return tokens > (abilities?.context_length ?? Infinity)
}

function tokensOf(body: Call['body']): number {
  return estimateTokens(promptLength(body)) + answerMax(body)
}

function answerMax(body: Call['body']): number {
  const max = body.max_completion_tokens ?? body.max_tokens
  return typeof max === 'number' ? max : 0
}

function isFilled(value: JsonValue): boolean {
  return Array.isArray(value) && value.length > 0
}

function hasImage(messages: JsonValue): boolean {
  if (!Array.isArray(messages)) return false
  return messages.some(
    message =>
      isObject(message) &&
      Array.isArray(message.content) &&
      message.content.some(part => isObject(part) && part.type === 'image_url'),
  )
}
