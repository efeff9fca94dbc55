import type { GatewayError } from '#core/errors.ts'
import { isObject } from '#lib/json.ts'

/** What the failure of a server means, in words for operators, and what to do about it. */
export interface Fault {
  readonly detail: string
  readonly remedy: string
}

const UNKNOWN_AUTHORITY: Fault = {
  detail: 'its certificate is of an authority that is not known here',
  remedy:
    'Name the authority: tls: { ca_file: /path/of/the/authority.pem } of the server, or NODE_EXTRA_CA_CERTS for all of them.',
}

/** The failures of connections, and of TLS, by the code that the runtime gives. */
const CONNECTION: Readonly<Record<string, Fault>> = {
  refused: { detail: 'nothing listens at its address', remedy: 'Start the server, or correct base_url.' },
  dns: { detail: 'nobody knows its host name', remedy: 'Correct base_url, or the name service of this machine.' },
  unreachable: {
    detail: 'there is no way to its address',
    remedy: 'Look at routes and firewalls, or correct base_url.',
  },
  'connect timeout': {
    detail: 'no connection to it comes about',
    remedy: 'Look at routes and firewalls, or correct base_url; https needs a server that speaks TLS.',
  },
  reset: {
    detail: 'it closes the connection',
    remedy: 'Look into its log; it may speak https where base_url says http.',
  },
  closed: {
    detail: 'it closes the connection',
    remedy: 'Look into its log; it may speak https where base_url says http.',
  },
  ENOENT: {
    detail: 'a file that tls of the server names is missing',
    remedy: 'Put it there, or correct ca_file, cert_file and key_file.',
  },
  CERT_HAS_EXPIRED: { detail: 'its certificate has expired', remedy: 'Renew the certificate of that server.' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    detail: 'its certificate is for another name',
    remedy: 'Use the name of the certificate in base_url, or give the server a certificate for this one.',
  },
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  tls: {
    detail: 'the encrypted connection fails',
    remedy: 'Look into its log, and at the versions of TLS that it speaks.',
  },
}

/** Failures for which the runtime has no code, by the text of its message. */
const SAID: readonly (readonly [said: RegExp, fault: Fault])[] = [
  [
    /WRONG_VERSION_NUMBER|HTTP_REQUEST/,
    { detail: 'it does not speak https', remedy: 'Write http:// in base_url, or let the server speak https.' },
  ],
  [
    /CERTIFICATE_REQUIRED/,
    {
      detail: 'it wants to see a certificate of the gateway',
      remedy: 'Give the server tls: { cert_file, key_file } in the configuration.',
    },
  ],
]

/** The failures that are not of the connection, by the code of the gateway's error. */
const CODES: Readonly<Record<string, Fault>> = {
  upstream_auth_failed: {
    detail: 'it refuses the key',
    remedy: 'Correct api_key of the server, or the variable or file that it comes from.',
  },
  upstream_timeout: {
    detail: 'it says nothing',
    remedy:
      'See whether it is busy or still loads the model; timeouts.first_byte and first_token are how long the gateway waits.',
  },
  upstream_idle_timeout: {
    detail: 'it falls silent in the middle of its answer',
    remedy: 'See whether it is out of memory; timeouts.idle is how long the gateway waits.',
  },
  upstream_invalid_response: {
    detail: 'what it sends is no answer of a model server',
    remedy:
      'base_url leads to something else, such as a web page: it mostly ends in /v1, and kind must fit the server.',
  },
  model_not_found: {
    detail: 'it does not know the model',
    remedy: 'Correct the name of the model at its target, or load the model into the server.',
  },
  insufficient_quota: { detail: 'its account has no credit', remedy: 'Pay the provider, or take another key.' },
  provider_rate_limited: {
    detail: 'it limits the key',
    remedy: 'Wait, add keys (api_keys), or ask the provider for more.',
  },
}

/** Finds what a failure means and what to do about it. */
export function faultOf(error: GatewayError): Fault {
  const cause = isObject(error.cause) ? error.cause : {}
  const { reason, code, status, message } = cause
  const known =
    (typeof message === 'string' ? SAID.find(([said]) => said.test(message))?.[1] : undefined) ??
    (typeof code === 'string' ? CONNECTION[code] : undefined) ??
    (typeof reason === 'string' ? CONNECTION[reason] : undefined) ??
    (typeof error.cause === 'string' ? CONNECTION[error.cause] : undefined) ??
    CODES[error.code]
  const said = [
    typeof status === 'number' ? `HTTP ${status}` : '',
    typeof message === 'string' ? message : '',
    typeof error.cause === 'string' ? error.cause : '',
  ]
  const story = said.filter(part => part !== '').join(': ')
  const detail = known?.detail ?? error.message
  return {
    detail: story === '' ? detail : `${detail} (${story})`,
    remedy: known?.remedy ?? 'Look into its log for what it did at this time.',
  }
}
