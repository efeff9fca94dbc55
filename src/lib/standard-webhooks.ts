import { createHmac, timingSafeEqual } from 'node:crypto'

const PREFIX = 'whsec_'

/** One message as https://www.standardwebhooks.com signs it: id, time in Unix seconds, and the body's bytes as sent. */
export interface SignedMessage {
  readonly id: string
  readonly seconds: number
  readonly body: string
}

const BASE64 = /^[\w+/-]{2,}={0,2}$/

/** Whether a text can be a secret: what begins with `whsec_` goes on in base64. Bytes that are none are passed over when
 * it is read, so that of `whsec_` alone an empty key would be left, with which anybody can sign. */
export function isSigningSecret(text: string): boolean {
  return !text.startsWith(PREFIX) || BASE64.test(text.slice(PREFIX.length))
}

/** Signs a message.
 *
 * @param secret `whsec_` and base64, or any text, of which the bytes are the key.
 * @returns The value of `webhook-signature`. */
export function signWebhook(secret: string, message: SignedMessage): string {
  return `v1,${digest(secret, message).toString('base64')}`
}

/** Whether one of the signatures in a header is that of the message. */
export function isSignedBy(secret: string, message: SignedMessage, header: string): boolean {
  const expected = digest(secret, message)
  return header.split(' ').some(each => {
    if (!each.startsWith('v1,')) return false
    const given = Buffer.from(each.slice(3), 'base64')
    return given.length === expected.length && timingSafeEqual(given, expected)
  })
}

function digest(secret: string, { id, seconds, body }: SignedMessage): Buffer {
  const key = secret.startsWith(PREFIX) ? Buffer.from(secret.slice(PREFIX.length), 'base64') : Buffer.from(secret)
  return createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest()
}
