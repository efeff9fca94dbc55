import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import type { RedisClient } from './redis.ts'

/** Runs a Lua script with these values; each of its keys is `prefix` or begins with it. */
export type RedisScript = (
  client: RedisClient,
  prefix: string,
  values: readonly (string | number | Buffer)[],
) => Promise<unknown>

/** Reads the script `redis/<name>.lua`. It is called by its hash (EVALSHA), and sent in full when Redis does not know it.
 *
 * @param needs Another script that defines functions it calls, and is put before it. */
export function redisScript(name: string, needs?: string): RedisScript {
  const text = readScript(name, needs)
  const hash = createHash('sha1').update(text).digest('hex')
  const sent = new WeakSet<RedisClient>()
  return async (client, prefix, values) => {
    // The first call on a connection sends the text. A NOSCRIPT answer and a second try would change the order of calls.
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

/** Reads a script that is sent in full with each call. For scripts whose keys are on all nodes of a cluster, and for those
 * that are rare and go between others: where the hash is not known, the second try would change the order of calls. */
export function sentScript(name: string, needs?: string): RedisScript {
  const text = readScript(name, needs)
  return (client, prefix, values) => client.eval(text, 1, prefix, ...values)
}

function readScript(name: string, needs?: string): string {
  const text = readFileSync(new URL(`./redis/${name}.lua`, import.meta.url), 'utf8')
  return needs === undefined ? text : readScript(needs) + text
}
