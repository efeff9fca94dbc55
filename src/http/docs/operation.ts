import type { z } from '@hono/zod-openapi'
import type { Code } from '#core/errors.ts'
import type { ErrorGroup } from './error-codes.ts'
import type { CodeSample } from './samples.ts'

/** A named example of a request body or an answer. */
interface Example {
  readonly summary: string
  readonly value: unknown
}

/** One form that an answer takes. */
export interface Content {
  readonly type: string
  readonly schema: z.ZodType
  /** What the data of each event is, where the answer is a stream of such. */
  readonly events?: z.ZodType
  readonly examples: Readonly<Record<string, Example>>
}

/** An answer that is no error body. */
export interface Answer {
  readonly description: string
  readonly content: readonly Content[]
  /** Names of response headers beside `x-request-id`. */
  readonly headers?: readonly string[]
}

/** What the reference says of one operation; the route table adds path, method and who may call it. */
export interface Operation {
  readonly tag: 'Models' | 'Inference' | 'Health' | 'Orchestration' | 'Webhooks' | 'Management' | 'Service'
  readonly summary: string
  readonly description: string
  /** Path parameters. */
  readonly params?: z.ZodObject
  /** What the query may say. */
  readonly query?: z.ZodObject
  /** Request headers that the gateway reads beside those of authentication. */
  readonly headers?: z.ZodObject
  readonly body?: { readonly schema: z.ZodType; readonly examples: Readonly<Record<string, Example>> }
  /** By status; always with one below 300. */
  readonly answers: Readonly<Record<number, Answer>>
  /** What a request passes on its way, and so may fail at; everyone passes the guard. */
  readonly passes: readonly ErrorGroup[]
  /** Codes beside those of the groups. */
  readonly errors?: readonly Code[]
  readonly samples: readonly CodeSample[]
}

/** An answer with a JSON body and named examples of it. */
export function jsonAnswer(description: string, schema: z.ZodType, examples: Content['examples']): Answer {
  return { description, content: [{ type: 'application/json', schema, examples }] }
}

/** An answer with a JSON body and one example of it. */
export function exampleAnswer(description: string, schema: z.ZodType, summary: string, value: unknown): Answer {
  return jsonAnswer(description, schema, { example: { summary, value } })
}
