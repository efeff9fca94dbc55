import type { Caller } from '#core/caller.ts'
import type { GatewayError } from '#core/errors.ts'
import type { Bucket } from '#core/limiter.ts'

/** Who may use a route, as the table of routes says; `signed`: whoever has the secret of a webhook. */
export type Access = 'anyone' | 'signed' | 'caller' | 'observer' | 'viewer' | 'operator' | 'admin'

/** What of a request is signed, as it came. */
export interface SignedParts {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly timestamp: string | null
  readonly signature: string | null
  readonly body: string
}

/** What the edge reads of the configuration: made anew at each reload, never changed. */
export interface Edge {
  readonly serviceName: string
  /** The installation; `null` where it has no name. */
  readonly environment: string | null
  readonly version: string
  /** Only names of this machine are accepted as `Host`: a page that points its own name here must not get in. */
  readonly loopbackOnly: boolean
  originAllowed(origin: string): boolean
  readonly corsCredentials: boolean
  readonly bodyBytesMax: number
  readonly bodyTimeoutMs: number
  /** Whether a client's address may use the gateway at all. */
  admits(address: string): boolean
  /** The client's address, seen through the proxies that are trusted. */
  clientAddress(peer: string, forwardedFor: string | null): string
  /** Who asks; promised where the store of keys has to be asked, or a token to be checked first. */
  identify(
    headers: Headers,
    address: string,
    access: Exclude<Access, 'signed'>,
  ): Caller | GatewayError | Promise<Caller | GatewayError>
  /** Whether callers need a key now. */
  authMode(): 'none' | 'optional' | 'required'
  /** Notes that an address has sent a credential that was refused.
   *
   * @param sender Whose signature it was, or webhooks for the password of one; `null` where the credential was nobody's. */
  refused(address: string, sender: Pick<Caller, 'id'> | null): void
  /** Whether an address may try another signature of a caller, or password of a webhook; the refusal, or `null`. */
  maySign(address: string, sender: Pick<Caller, 'id'>): Promise<GatewayError | null>
  /** Whether a request is signed as its caller has to; the refusal, or `null`. */
  checkSignature(caller: Caller, request: SignedParts): Promise<GatewayError | null>
  authorize(caller: Caller, access: Exclude<Access, 'signed'>): GatewayError | null
  /** The buckets that a request takes from before it is read; none when limits are off. */
  buckets(caller: Caller, address: string): readonly Bucket[]
  readonly fullHeaders: boolean
  /** How long an idle connection is kept, in seconds. */
  readonly keepAliveSeconds: number
}
