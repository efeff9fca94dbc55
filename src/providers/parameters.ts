import type { Endpoint } from '#core/call.ts'

/** What a dialect does with one parameter of OpenAI's request.
 *
 * - `passed`: goes upstream as it is
 * - `renamed`: goes upstream under the name `to`
 * - `converted`: means the same in another shape, which `note` tells
 * - `dropped`: left out, and the caller is told by a header
 * - `refused`: HTTP 400 `unsupported_parameter`, because the answer would not be what was asked for */
export interface Parameter {
  readonly treatment: 'passed' | 'renamed' | 'converted' | 'dropped' | 'refused'
  readonly to?: string
  readonly note?: string
}

/** One table a dialect: for each endpoint that it offers, each parameter that it knows of. */
export type Parameters = Readonly<Partial<Record<Endpoint, Readonly<Record<string, Parameter>>>>>
