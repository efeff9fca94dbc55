import type { Delivered } from '#core/attempt.ts'
import type { TextField } from '#core/bypass.ts'
import type { Call, Endpoint } from '#core/call.ts'
import type { GatewayError } from '#core/errors.ts'
import type { DataFrame, Frame } from '#core/frame.ts'
import type { ListedModel, Server, Target } from '#core/servers.ts'
import type { Parameters } from './parameters.ts'

export type { ListedModel }

/** A text in the pieces that are sent one behind the other: a long one is not joined first, which would cost more than
 * sending it. No character stands in two of them. */
export type Pieces = readonly string[]

/** A request as it goes upstream. */
export interface Outgoing {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Pieces | null
  /** Whether it must not arrive twice; it then goes over a connection that has not served before. */
  readonly once?: boolean
  /** Names of the caller's parameters that the dialect cannot express and left out. */
  readonly dropped?: readonly string[]
}

/** The head of an upstream answer; header names in lower case. */
export interface Head {
  readonly status: number
  header(name: string): string | null
}

/** One event of an upstream stream: an SSE event, or one line of NDJSON with an empty name. */
export interface StreamEvent {
  readonly name: string
  readonly data: string
}

/** The names of the members of an event that hold its text, at any depth. */
export interface Saying {
  readonly choice: number
  readonly field: TextField
  /** Members whose text carries no content. */
  readonly idle: readonly string[]
}

/** Turns the events of one upstream stream into frames, as a pure function over a state of its own.
 *
 * Throwing means that the event could not be read: it is skipped and counted, the state stays as it was. */
export interface StreamReducer<S> {
  start(): S
  step(state: S, event: StreamEvent): readonly [S, readonly Frame[]]
  /** Where the event of this frame holds its text, if other events that differ from it only in that text may be passed on
   * like it without being read, for as long as the state stays the same; `null` when they have to be read. */
  saying?(frame: DataFrame): Saying | null
  /** The frames that are still missing when the server has closed the stream; whether the answer is complete is judged
   * by its finish frames, not here. */
  end(state: S): readonly Frame[]
}

/** How a server is asked whether it lives and what it serves; costs no tokens. */
export interface Catalog {
  /** Paths to probe in this order; the first that is not 404 counts. */
  probes(server: Server): readonly Outgoing[]
  list(server: Server, secret: string | null): Outgoing
  /** What asks for the page behind this one; `null` when it was the last. Absent where lists come whole. */
  next?(server: Server, secret: string | null, body: string): Outgoing | null
  /** @throws when the body is no list of models. */
  decodeList(body: string): readonly ListedModel[]
  /** What the list leaves out, from servers that tell it elsewhere. */
  readonly details?: ModelDetails
  /** Where servers may tell what they are busy with, the best place first; none when absent. */
  readonly reports?: readonly Report[]
  /** Asks a server to load a model, where that is done on demand. */
  load?(server: Server, secret: string | null, model: string, embedding: boolean): Outgoing
}

/** How a server is asked about one model, and about those in memory; decoding gives nothing for what cannot be read. */
export interface ModelDetails {
  model(server: Server, secret: string | null, id: string): Outgoing
  decodeModel(body: string): Partial<ListedModel>
  loaded(server: Server, secret: string | null): Outgoing
  /** The ids of the models in memory. */
  decodeLoaded(body: string): ReadonlySet<string>
}

/** A path at which a server may report its load. */
export interface Report {
  ask(server: Server, secret: string | null): Outgoing
  /** @returns `null` for what cannot be read: the server tells nothing there. */
  decode(body: string): { readonly calls: number | null; readonly loaded: readonly string[] | null } | null
}

/** The features that a dialect can express; a model behind it may still lack them. */
export interface ProviderCapabilities {
  readonly tools: boolean
  readonly vision: boolean
  /** Recordings in the prompt. */
  readonly audio: boolean
  readonly json_object: boolean
  readonly json_schema: boolean
  /** Thinking that is told apart from the answer. */
  readonly reasoning: boolean
  readonly logprobs: boolean
  /** `n` above 1. */
  readonly several_choices: boolean
  /** Whether a model can go on from the beginning of an answer. */
  readonly prefill: boolean
}

/** A dialect: a pure translator between the OpenAI wire format and what one kind of server speaks.
 *
 * It may be called again for the same call (another attempt), so it never changes what it is given. */
export interface Provider {
  readonly name: string
  readonly framing: 'sse' | 'ndjson'
  readonly endpoints: ReadonlySet<Endpoint>
  /** Names of the caller's headers that go upstream, in lower case; none when absent. */
  readonly headers?: readonly string[]
  readonly capabilities: ProviderCapabilities
  /** The treatment of each parameter; the support matrix in the documentation is made from it. */
  readonly parameters: Parameters
  /** The address when the configuration names none; `null` when it must name one. */
  readonly defaultBaseUrl: string | null
  /** The address as configured, made into the prefix of every path. */
  normalizeBaseUrl(url: string): string
  /** @param delivered What the answer begins with; a dialect that cannot say so leaves it out.
   *
   * @throws GatewayError `unsupported_parameter` for what the dialect cannot express. */
  encode(call: Call, target: Target, secret: string | null, delivered?: Delivered): Outgoing
  /** A whole 2xx answer; an error also when the body says so under HTTP 200.
   *
   * @param head What it came with, where the dialect may find more than in the body. */
  decode(call: Call, body: string, head?: Head): DataFrame | GatewayError
  /** An answer outside 2xx, whatever its body is. */
  decodeError(head: Head, body: string): GatewayError
  stream(call: Call, head?: Head): StreamReducer<unknown>
  readonly catalog: Catalog
}
