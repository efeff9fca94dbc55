import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { head, json, type Script, type Steps, startUpstream } from '#tests/support/upstream.ts'

/** Starts a gateway in front of one scripted server. */
export async function gatewayOf(script: Script, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], more))
  return {
    url: gateway.url,
    server,
    logged: gateway.logged,
    /** The statuses of all calls so far. */
    async statuses() {
      await fetch(`${gateway.url}/livez`)
      // Lines are written in order: with this one all before it are there.
      await gateway.logged({ path: '/livez' })
      return gateway.lines.filter(({ method }) => method === 'POST').map(({ status }) => status)
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

const CORS = {
  'access-control-allow-origin': '*',
  'access-control-expose-headers': 'retry-after, retry-after-ms, x-should-retry, x-request-id',
}
const PREFLIGHT = {
  ...CORS,
  'access-control-allow-headers': 'authorization, content-type, idempotency-key, x-team',
  'content-length': '0',
}

/** Plays a gateway that answers as no good one does, one script after the other; the last one stays. */
export async function scripted(
  ...scripts: readonly [
    (headers: Readonly<Record<string, string>>) => Steps,
    ...((headers: Readonly<Record<string, string>>) => Steps)[],
  ]
) {
  let calls = 0
  const keys: (string | undefined)[] = []
  const sent: Readonly<Record<string, string>>[] = []
  const upstream = await startUpstream(({ method, headers }) => {
    if (method === 'OPTIONS') return head(204, PREFLIGHT)
    keys.push(headers['idempotency-key'])
    sent.push(headers)
    const script = scripts[Math.min(calls++, scripts.length - 1)]
    return script === undefined ? [] : script(CORS)
  })
  return {
    url: upstream.url,
    /** The idempotency key of each call, and all its headers. */
    keys,
    sent,
    openSockets: upstream.openSockets,
    allClosed: upstream.allClosed,
    [Symbol.asyncDispose]: upstream.close,
  }
}

/** A refusal in the gateway's form. */
export function refused(status: number, code: string, more: Readonly<Record<string, string>> = {}) {
  return (headers: Readonly<Record<string, string>>): Steps =>
    json(status, { error: { message: 'No.', type: 'server_error', param: null, code } }, { ...headers, ...more })
}
