import { isObject, parseJson } from '#lib/json.ts'
import { inUrl } from '#lib/net.ts'
import { CONFIG_OPTIONS, type ConfigValues, optionsOf, settle } from './options.ts'
import { CommandFailed, EXIT } from './output.ts'

/** The options of commands that call a running gateway. */
export const REMOTE_OPTIONS = {
  ...CONFIG_OPTIONS,
  url: { type: 'string' },
  key: { type: 'string' },
  json: { type: 'boolean', default: false },
} as const

/** The values of `REMOTE_OPTIONS` as `readArguments` gives them. */
export interface RemoteValues extends ConfigValues {
  readonly url?: string
  readonly key?: string
}

/** A running gateway. */
export interface Remote {
  /** Without a slash at the end. */
  readonly url: string
  /** @throws CommandFailed when it does not answer, or answers with an error. */
  ask(path: string, init?: RequestInit): Promise<Response>
}

/** The address to call instead of a wildcard address that a gateway listens on. */
const OWN: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }

/** Finds the gateway to call: the one of the options, of `CITADEL_URL`, or the one that the configuration describes. */
export async function findRemote(values: RemoteValues): Promise<Remote> {
  const own = await ownAddress(values)
  const url = own.url.replace(/\/+$/, '').replace(/\/v1$/, '')
  const key = values.key ?? process.env.CITADEL_API_KEY
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw new CommandFailed('the key is none: it holds blanks, line ends or letters that no key has', EXIT.usage)
  }
  const headers: Record<string, string> = key === undefined ? {} : { authorization: `Bearer ${key}` }
  return {
    url,
    async ask(path, init = {}) {
      const asked = { ...init, headers: { ...headers, ...Object.fromEntries(new Headers(init.headers)) } }
      // The certificate is for the gateway's public name, and this request goes to a local address.
      const response = await fetch(url + path, {
        ...asked,
        ...(own.local && { tls: { rejectUnauthorized: false } }),
      }).catch(error => {
        throw new CommandFailed(unreachable(url, error), EXIT.unavailable)
      })
      if (response.ok) return response
      throw await refused(url, response)
    },
  }
}

async function ownAddress(values: RemoteValues): Promise<{ readonly url: string; readonly local: boolean }> {
  const named = values.url ?? process.env.CITADEL_URL
  if (named !== undefined) {
    if (!/^https?:\/\/[^/]/.test(named))
      throw new CommandFailed(`${named} is no address: --url http://host:port`, EXIT.usage)
    return { url: named, local: false }
  }
  const { config } = await settle(optionsOf(values))
  const { host, port, tls } = config.service
  const url = `${tls === null ? 'http' : 'https'}://${inUrl(OWN[host] ?? host)}:${port}`
  return { url, local: true }
}

/** What is wrong where somebody may well be at the address, by the code of the error. */
const WRONG: readonly (readonly [code: RegExp, said: string])[] = [
  [/ALTNAME/, 'its certificate is for another name. Use an address with that name.'],
  [/CERT_HAS_EXPIRED/, 'its certificate has expired. Renew it.'],
  [
    /CERT|SIGNED|UNABLE_TO_/,
    'its certificate is not trusted here. Name the file of its authority in the variable NODE_EXTRA_CA_CERTS.',
  ],
  [/ENOTFOUND|EAI_AGAIN/, 'nobody knows its host name. Correct the address.'],
]

function unreachable(url: string, error: unknown): string {
  if (error instanceof DOMException) return `the gateway at ${url} did not answer in time`
  const code = isObject(error) ? String(error.code) : ''
  const [, said] = WRONG.find(([codes]) => codes.test(code)) ?? []
  if (said !== undefined) return `the gateway at ${url} cannot be asked: ${said}`
  return `no gateway answers at ${url}. Start one (citadel start, or bun run start), or name another with --url`
}

function adviceOf(param: unknown): string {
  return param === 'model' ? ' `citadel models` lists the models; name one with --model.' : ''
}

async function refused(url: string, response: Response): Promise<CommandFailed> {
  const body = parseJson(await response.text())
  const answer = isObject(body) ? body : {}
  const error = isObject(answer.error) ? answer.error : {}
  let said = `HTTP ${response.status} from ${url}, and not from a gateway: name yours with --url`
  if (typeof error.message === 'string') said = error.message
  else if (answer.status === 'not_ready' && typeof answer.reason === 'string')
    said = `the gateway at ${url} is not ready: ${answer.reason}`
  const advice = response.status === 401 ? ' Give a key: --key, or CITADEL_API_KEY.' : adviceOf(error.param)
  const id = response.headers.get('x-request-id')
  return new CommandFailed(`${said}${advice}${id === null ? '' : ` (request ${id})`}`, EXIT.failure)
}
