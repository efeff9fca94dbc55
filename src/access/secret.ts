/** How every key that the gateway makes begins, so that people and scanners of repositories know it. */
const MARK = 'ck_'
const RANDOM_BYTES = 32
const SECRET = /^ck_[\w-]{43}$/
const SHOWN_CHARACTERS = MARK.length + 6

/** A new key, and the part of it that may be shown ever after. */
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

/** Whether a text can be a key that the gateway has made: nothing else is worth asking the store. */
export function isSecret(text: string): boolean {
  return SECRET.test(text)
}
