import type { Code } from '#core/errors.ts'
import type { Tree } from '#tests/support/gateway.ts'
import { type Gate, head, type Script, type Step } from '#tests/support/upstream.ts'
import type { Cell } from './cells.ts'

/** What the gateways of this run ask with, and nobody else. */
export const OWN_KEY = `sk-server-${crypto.randomUUID()}`

/** What a server says that should never be heard outside: an address and a key of the inside. */
export const STORY = `backend http://10.1.2.3:8000 refused ${OWN_KEY}`

/** What the caller reads. */
export type Told =
  | 'the whole answer'
  /** An error instead of an answer. */
  | { readonly status: number; readonly code: Code }
  /** An error as the last event of a stream that had begun. */
  | { readonly event: Code }

/** What a fault is played with. */
export interface Scene {
  readonly cell: Cell
  /** Opens when the caller has the first content. */
  readonly seen: Gate
  /** Says nothing more; time then passes by `Fault.silence`. */
  readonly stall: Step
  /** The address of another server, which nobody may be sent to. */
  readonly elsewhere: string
}

/** An address at which no HTTP is spoken. */
export interface Place extends AsyncDisposable {
  readonly url: string
  /** Where a sound server can take its place. */
  readonly port?: number
}

/** Something that a model server does, and what follows. */
export interface Fault {
  readonly id: string
  readonly name: string
  /** The answers that it can happen to. */
  readonly calls: 'plain' | 'stream' | 'both'
  /** What the server does with each call until it is mended. */
  readonly play?: (scene: Scene) => Script
  /** Where there is no such server. */
  readonly place?: (passTime: () => void) => Promise<Place>
  /** What the caller reads when nobody else can answer. */
  readonly alone: Told
  /** Whether nobody else is asked, although somebody could be. */
  readonly final?: boolean
  /** Whether the same server is tried again, when nobody else can answer or before another model does. */
  readonly again?: boolean
  /** Whether only a model with more context is asked instead. */
  readonly larger?: boolean
  /** Milliseconds that pass at each stall: just longer than the clock that is to run out. */
  readonly silence?: number
  /** Whether time passes by itself, so that the gateway can wait. */
  readonly waits?: boolean
  /** Whether a call has gone well before, over a connection that is kept. */
  readonly warm?: boolean
  /** Clocks of the server that differ from the runner's. */
  readonly timeouts?: Tree
}

const FAILED = { status: 503, code: 'all_targets_failed' } as const
const INVALID = { status: 502, code: 'upstream_invalid_response' } as const
export const SILENT = { status: 504, code: 'upstream_timeout' } as const
export const REFUSED = { status: 502, code: 'upstream_auth_failed' } as const
export const LIMITED = { status: 429, code: 'provider_rate_limited' } as const
export const UNSAFE = { status: 502, code: 'upstream_tls_error' } as const
export const LATE = { status: 504, code: 'deadline_exceeded' } as const
export const CUT = { event: 'stream_interrupted' } as const
export const IDLE = { event: 'upstream_idle_timeout' } as const

/** The server is tried again, and that is what the caller reads in the end. */
export const BROKEN = { alone: FAILED, again: true } as const
export const UNREADABLE = { alone: INVALID, again: true } as const

/** Past the first-byte, first-token and idle clocks of the server that breaks, in milliseconds. */
export const SILENCE = 7000

/** The head of a plain answer that says how long it is. */
export function plainHead(length: number): Step {
  return head(200, { 'content-type': 'application/json', 'content-length': `${length}` })
}

export function half(text: string): string {
  return text.slice(0, text.length / 2)
}
