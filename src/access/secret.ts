import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto'

/** The prefix of every key that the gateway makes, so that people and secret scanners recognise it. */
const MARK = 'ck_'
const RANDOM_BYTES = 32
const SIGNING_MARK = 'cs_'
const CIPHER = 'aes-256-gcm'
const IV_BYTES = 12
const TAG_BYTES = 16
const SECRET = /^ck_[\w-]{43}$/
const SHOWN_CHARACTERS = MARK.length + 6

/** A new key, and the part of it that may be shown later. */
export interface Secret {
  readonly secret: string
  readonly prefix: string
}

/** Makes a key of 256 random bits.
 *
 * @param fill Fills an array with random bytes. */
export function newSecret(fill: (bytes: Uint8Array) => void = bytes => crypto.getRandomValues(bytes)): Secret {
  const bytes = new Uint8Array(RANDOM_BYTES)
  fill(bytes)
  const secret = MARK + Buffer.from(bytes).toString('base64url')
  return { secret, prefix: secret.slice(0, SHOWN_CHARACTERS) }
}

/** Makes a secret with which requests are signed. */
export function newSigningSecret(): string {
  return SIGNING_MARK + Buffer.from(crypto.getRandomValues(new Uint8Array(RANDOM_BYTES))).toString('base64url')
}

/** Encrypts the signing secret of a key with the key itself: only a request that sends the key can have it decrypted,
 * and whoever reads the store has neither. */
export function sealSigning(key: string, signingSecret: string): string {
  const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES))
  const cipher = createCipheriv(CIPHER, sealingKey(key), iv)
  const sealed = Buffer.concat([cipher.update(signingSecret, 'utf8'), cipher.final()])
  return Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')
}

/** Decrypts what `sealSigning` has encrypted; `null` when that was done with another key. */
export function openSigning(key: string, sealed: string): string | null {
  const bytes = Buffer.from(sealed, 'base64url')
  try {
    const decipher = createDecipheriv(CIPHER, sealingKey(key), bytes.subarray(0, IV_BYTES))
    decipher.setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES))
    const opened = [decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]
    return Buffer.concat(opened).toString('utf8')
  } catch {
    return null
  }
}

function sealingKey(key: string): Buffer {
  return createHmac('sha256', key).update('citadel signing secret').digest()
}

/** Whether a text has the form of a key that the gateway makes; the store is not asked for others. */
export function isSecret(text: string): boolean {
  return SECRET.test(text)
}
