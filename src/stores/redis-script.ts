import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisClient } from './redis.ts'

/** A script with the values that it is called with; all its keys are, or begin with, `prefix`. */
export type RedisScript = (
  client: RedisClient,
  prefix: string,
  values: readonly (string | number | Buffer)[],
) => Promise<unknown>

/** Reads a script of the folder beside this file. It is called by its hash, and sent where Redis has it not.
 *
 * @param needs What stands before it: the file of the functions that it calls. */
export function redisScript(name: string, needs?: string): RedisScript {
  const text = needs === undefined ? readScript(name) : readScript(needs) + readScript(name)
  const hash = createHash('sha1').update(text).digest('hex')
  const sent = new WeakSet<RedisClient>()
  return async (client, prefix, values) => {
    // The first call brings the text along, so that calls stay in order.
    if (!sent.has(client)) {
      sent.add(client)
      return client.eval(text, 1, prefix, ...values)
    }
    try {
      return await client.evalsha(hash, 1, prefix, ...values)
    } catch (thrown) {
      if (!(thrown instanceof Error && thrown.message.startsWith('NOSCRIPT'))) throw thrown
      return client.eval(text, 1, prefix, ...values)
    }
  }
}

/** Reads a script that is sent along with each call: what has keys on all nodes of a cluster would otherwise come out
 * of order wherever a node has it not yet. */
export function sentScript(name: string): RedisScript {
  const text = readScript(name)
  return (client, prefix, values) => client.eval(text, 1, prefix, ...values)
}

function readScript(name: string): string {
  return readFileSync(new URL(`./redis/${name}.lua`, import.meta.url), 'utf8')
}
