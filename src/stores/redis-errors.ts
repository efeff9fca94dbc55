import type { RedisClient } from './redis-connect.ts'

/** Errors of a Redis that is reachable but cannot work: full, read-only, loading, wrong password, or a cluster without all
 * its slots. Up to Redis 6.2 an error within a script is prefixed with the script's name. */
const USELESS =
  /^(?:ERR Error running script .*: -)?(?:BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOAUTH|NOPERM|NOREPLICAS|OOM|READONLY|TRYAGAIN|WRONGPASS)\b/
/** Errors for commands that the stores need and this user, or any user, may not run. */
const FORBIDDEN = /^ERR (?:unknown command|(?:Error running script .*: )?The user executing the script can't)/
/** The error of a cluster node to a client that is not configured for a cluster. */
const ELSEWHERE = /^MOVED\b/
/** Errors of the library that only say that it has no connection, and not why. */
const UNTOLD =
  /^(?:Stream isn't writeable|Connection is closed|Cluster isn't ready|Failed to refresh slots|None of startup nodes)/
/** Those of them that are about a connection which stood. */
const CLOSED = /^(?:Stream isn't writeable|Connection is closed)/

/** Whether an error is a regular answer of a Redis that works, such as WRONGTYPE. */
export function isAnswer(thrown: unknown, client: RedisClient): boolean {
  if (!isReply(thrown)) return false
  const { message } = thrown
  return !USELESS.test(message) && !FORBIDDEN.test(message) && ('nodes' in client || !ELSEWHERE.test(message))
}

export function lacksRights(thrown: unknown): boolean {
  return isReply(thrown) && (FORBIDDEN.test(thrown.message) || thrown.message.startsWith('NOPERM'))
}

/** Whether an error is what Redis itself has said. */
export function isReply(thrown: unknown): thrown is Error {
  return thrown instanceof Error && thrown.name === 'ReplyError'
}

/** Whether an error only says that there is no connection, and not why. */
export function isUntold(thrown: unknown): boolean {
  return thrown instanceof Error && UNTOLD.test(thrown.message)
}

export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return 'it does not answer'
  return CLOSED.test(thrown.message) ? 'the connection was closed' : thrown.message.slice(0, 200)
}
