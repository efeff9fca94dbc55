import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'

/** A pair of keys with the id under which it is published. */
export interface IssuerKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  readonly jwk: JWK
}

/** An identity provider on loopback: it publishes where its keys are, and the keys. */
export interface Issuer {
  /** Its address, which is also its name. */
  readonly url: string
  readonly jwksUrl: string
  /** The paths that were asked for. */
  readonly asked: readonly string[]
  /** Publishes these keys instead. */
  publish(...keys: readonly IssuerKey[]): void
  /** What is answered instead of documents; `null` = the documents. */
  answer(response: (() => Response) | null): void
  /** Stops listening. */
  down(): Promise<void>
  /** Listens again, on the same port. */
  up(): void
  [Symbol.asyncDispose](): Promise<void>
}

/** Makes a pair of keys. */
export async function makeKey(kid: string, alg = 'RS256'): Promise<IssuerKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** Signs claims with a key, under its own id. */
export function signToken(key: IssuerKey, claims: JWTPayload, header: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: key.kid, ...header }).sign(key.privateKey)
}

/** Starts an identity provider that publishes these keys. */
export function startIssuer(...keys: readonly IssuerKey[]): Issuer {
  const asked: string[] = []
  let published = keys
  let instead: (() => Response) | null = null
  const serve = (port: number) => Bun.serve({ hostname: '127.0.0.1', port, fetch: request => reply(request) })
  let server = serve(0)
  const { port = 0 } = server
  const url = `http://127.0.0.1:${port}`

  function reply(request: Request): Response {
    const { pathname } = new URL(request.url)
    asked.push(pathname)
    if (instead !== null) return instead()
    if (pathname === '/.well-known/openid-configuration') return Response.json({ issuer: url, jwks_uri: `${url}/jwks` })
    if (pathname === '/jwks') return Response.json({ keys: published.map(({ jwk }) => jwk) })
    return new Response('', { status: 404 })
  }

  const down = () => server.stop(true)
  return {
    url,
    jwksUrl: `${url}/jwks`,
    asked,
    publish(...next) {
      published = next
    },
    answer(response) {
      instead = response
    },
    down,
    up() {
      server = serve(port)
    },
    [Symbol.asyncDispose]: down,
  }
}
