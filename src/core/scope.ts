import type { Clock } from './clock.ts'
import { type Code, GatewayError } from './errors.ts'

/** How long a piece of work may go on, and who may end it.
 *
 * Scopes form a tree: ending one ends its children, never its parent. */
export interface Scope {
  /** Aborts with the cause; made on first use. */
  readonly signal: AbortSignal
  /** Monotonic milliseconds of the deadline; `Infinity` without one. */
  readonly endsAt: number
  /** Why the scope ended; `null` while it lives. */
  readonly ended: GatewayError | null
  /** Opens a scope within this one; `code` says what its deadline is called. */
  child(options?: { readonly within?: number; readonly code?: Code }): Scope
  /** Ends the scope and everything below it; only the first cause counts. */
  cancel(cause: GatewayError): void
  /** Runs `run` when the scope ends (at once when it has); the returned function takes it back. */
  onEnd(run: (cause: GatewayError) => void): () => void
  /** Lets go of the parent alone, whose end is not its own from now on. */
  outlive(): void
  /** Lets go of the deadline and the parent when the work is over, here and in what lies below; nothing is aborted. */
  close(): void
}

const DEADLINE_MESSAGES: Partial<Record<Code, string>> = {
  deadline_exceeded: 'The request took longer than the time allowed for it.',
  upstream_timeout: 'The model server did not answer in time.',
  request_timeout: 'The request body did not arrive in time.',
}

/** Opens a scope that has no parent. */
export function createScope(clock: Clock, options: { readonly within?: number; readonly code?: Code } = {}): Scope {
  return new TreeScope(clock, null, options.within ?? Infinity, options.code ?? 'deadline_exceeded')
}

type Listener = (cause: GatewayError) => void

const NO_LISTENER = () => {}

/** Several scopes are opened for each request, so whatever most of them never need is made on first use: nearly all
 * have one listener and one child at most. */
class TreeScope implements Scope {
  readonly endsAt: number
  ended: GatewayError | null = null
  private readonly clock: Clock
  private readonly parent: TreeScope | null
  private readonly disarm: (() => void) | null
  private controller: AbortController | null = null
  private readonly listeners = new Few<Listener>()
  private readonly children = new Few<TreeScope>()

  constructor(clock: Clock, parent: TreeScope | null, within: number, code: Code) {
    this.clock = clock
    this.parent = parent
    const own = within === Infinity ? Infinity : clock.now() + within
    const inherited = parent === null ? Infinity : parent.endsAt
    this.endsAt = Math.min(own, inherited)
    // A deadline that the parent has already is the parent's to enforce.
    this.disarm = own < inherited ? this.endAfter(within, code) : null
    if (parent === null) return
    if (parent.ended !== null) this.cancel(parent.ended)
    else parent.children.add(this)
  }

  get signal(): AbortSignal {
    if (this.controller === null) {
      this.controller = new AbortController()
      if (this.ended !== null) this.controller.abort(this.ended)
    }
    return this.controller.signal
  }

  child(options: { readonly within?: number; readonly code?: Code } = {}): Scope {
    return new TreeScope(this.clock, this, options.within ?? Infinity, options.code ?? 'deadline_exceeded')
  }

  cancel(cause: GatewayError): void {
    if (this.ended !== null) return
    this.ended = cause
    this.letGo()
    this.controller?.abort(cause)
    for (const listener of this.listeners.takeAll()) listener(cause)
    for (const child of this.children.takeAll()) child.cancel(cause)
  }

  onEnd(run: Listener): () => void {
    if (this.ended !== null) {
      run(this.ended)
      return NO_LISTENER
    }
    this.listeners.add(run)
    return () => this.listeners.delete(run)
  }

  private endAfter(ms: number, code: Code): () => void {
    return this.clock.after(ms, () => this.cancel(deadline(code)))
  }

  outlive(): void {
    this.parent?.children.delete(this)
  }

  close(): void {
    this.letGo()
    for (const child of this.children.takeAll()) child.close()
  }

  private letGo(): void {
    this.disarm?.()
    this.outlive()
  }
}

const NONE: readonly never[] = []

/** A set that costs nothing more while it has one element at most. */
class Few<T> {
  private one: T | null = null
  private more: Set<T> | null = null

  add(element: T): void {
    if (this.one === null && this.more === null) this.one = element
    else if (this.more === null) this.more = new Set([element])
    else this.more.add(element)
  }

  delete(element: T): void {
    if (this.one === element) this.one = null
    else this.more?.delete(element)
  }

  takeAll(): readonly T[] {
    const { one, more } = this
    if (one === null && more === null) return NONE
    this.one = null
    this.more = null
    if (more === null) return one === null ? NONE : [one]
    return one === null ? [...more] : [one, ...more]
  }
}

function deadline(code: Code): GatewayError {
  return new GatewayError(code, DEADLINE_MESSAGES[code] ?? 'The time allowed for this step is over.')
}

/** Waits for the work, but no longer than a scope lives. */
export function abandonable<T>(work: Promise<T>, scope: Scope): Promise<T> {
  if (scope.ended !== null) {
    work.catch(() => {})
    return Promise.reject(scope.ended)
  }
  return new Promise((resolve, reject) => {
    const stop = scope.onEnd(reject)
    work.then(
      value => {
        stop()
        resolve(value)
      },
      error => {
        stop()
        reject(error)
      },
    )
  })
}
