import { lookup } from 'node:dns/promises'
import { databasePlace } from '#config/places.ts'
import type { Config } from '#config/schema.ts'
import { checkRedis } from '#stores/redis-check.ts'
import type { DatabasePlace } from '#stores/sql.ts'
import { mayMakeTables, migrationsOf, tryToWrite } from '#stores/sql-client.ts'
import type { Settled } from '../options.ts'
import { counted } from '../output.ts'
import { about, type Finding, messageOf } from './finding.ts'

/** What to do about a message of a store; the first pattern that matches counts. */
type Remedies = readonly (readonly [pattern: RegExp, remedy: string])[]

const REDIS: Remedies = [
  // Not as an address with a password in it: the report would show that as [redacted].
  [
    /WRONGPASS|NOAUTH|invalid password/i,
    'Put the right password into redis.url: behind the user, if there is one, and a colon, and before the @',
  ],
  [
    /NOPERM|executing the script can't/,
    'Give the user of redis.url its rights: the guide "Databases" has the rule (ACL SETUSER …).',
  ],
  [/unknown command/, 'That Redis runs no scripts, of which the limits are made: allow EVAL and EVALSHA.'],
  [/DB index|SELECT/, 'Redis has no database of that number: put another one at the end of redis.url, or none.'],
  [/OOM|maxmemory/, 'Redis is full: raise maxmemory, or set maxmemory-policy to volatile-lru.'],
  [/READONLY/, 'That is a replica: put the address of the primary into redis.url.'],
  [/MISCONF/, 'Redis cannot save to its disk: make room there, or set stop-writes-on-bgsave-error no.'],
  [/cluster support disabled/, 'That is no cluster: write one address into redis.url, not a list.'],
  [/CLUSTERDOWN|MOVED/, 'That is a cluster: list its nodes in redis.url, and see that all its slots are served.'],
  [/ENOTFOUND|EAI_AGAIN/, 'Nobody knows that host name: correct redis.url.'],
  [/ECONNREFUSED/, 'Nothing listens there: start Redis, or correct host and port of redis.url.'],
  [/certificate|SSL|TLS/i, 'Use rediss:// only where Redis speaks TLS, with a certificate that this machine trusts.'],
  [/RESP type/, 'That is no Redis: correct host and port of redis.url.'],
  [/ECONNRESET|closed/i, 'It closes the connection: write rediss:// if it speaks TLS, and look into its log.'],
  [
    /timed? ?out|ETIMEDOUT/i,
    'Nothing answers there: look at firewalls and the bind address of Redis; write redis:// if it speaks no TLS.',
  ],
]

const DATABASE: Remedies = [
  [
    /password authentication failed|28P01|no password|authentication/i,
    'Put the right user and password into database.url.',
  ],
  [/database ".*" does not exist|3D000/i, 'Create it: `createdb NAME`, or correct the name in database.url.'],
  [
    /too many (?:clients|connections)|remaining connection slots|53300/i,
    'Postgres has no connection left: raise max_connections, or lower database.pool.',
  ],
  [/prepared statement/, 'That is a pooler, such as PgBouncer: add ?prepare=false to database.url.'],
  [/unrecognized configuration parameter|'sslmode'/, 'Correct what stands behind the ? of database.url.'],
  [/read-only transaction/i, 'That is a replica: put the address of the primary into database.url.'],
  [/the encoding of the database/, "Create it anew: CREATE DATABASE NAME ENCODING 'UTF8' TEMPLATE template0."],
  [
    /no encryption|TLS required|requires? (?:SSL|TLS)/i,
    'That server wants TLS: add ?sslmode=verify-full to database.url.',
  ],
  [/pg_hba\.conf entry/, 'Postgres takes nobody from here: add a line to its pg_hba.conf.'],
  [/TLS_NOT_AVAILABLE/, 'That server speaks no TLS: switch it on there, or write ?sslmode=disable.'],
  [/altnames|ALTNAME/, 'Put a host name into database.url that stands in the certificate of the server.'],
  [
    /certificate|caFile|SELF_SIGNED|UNABLE_TO_/i,
    'Name the authority that has signed it: ?sslmode=verify-full&sslrootcert=/etc/citadel/ca.pem; renew what has expired.',
  ],
  [
    /permission denied for (?:table|relation)/i,
    'Give the user of database.url its rights: GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public.',
  ],
  [
    /permission denied|42501/i,
    'Give the user of database.url the right to make tables: GRANT CREATE, USAGE ON SCHEMA public.',
  ],
  [
    /not a database|malformed|SQLITE_CORRUPT/i,
    'The file is damaged, or no database: put the last backup in its place.',
  ],
  [/SQLITE_FULL|disk is full|53100|No space left/i, 'The disk is full: make room.'],
  [
    /SQLITE_CANTOPEN|unable to open|EACCES|ENOTDIR|readonly|SQLITE_READONLY/i,
    'Give the file and its folder to the user that runs the gateway.',
  ],
  [/ENOTFOUND|EAI_AGAIN|getaddrinfo/i, 'Nobody knows that host name: correct database.url.'],
  [/never received response/, 'That is no Postgres: correct host and port of database.url.'],
  [
    /ECONNREFUSED|connect|closed|timed? ?out/i,
    'Nothing answers there: start Postgres, correct database.url, or look at listen_addresses and pg_hba.conf.',
  ],
]

function remedyFor(message: string, remedies: Remedies): string {
  return remedies.find(([pattern]) => pattern.test(message))?.[1] ?? 'Look into the log of that server.'
}

/** Checks Redis, the database and the store of vectors. */
export async function checkStores(settled: Settled, timeoutMs: number): Promise<readonly Finding[]> {
  const { config } = settled
  return [await redis(config, timeoutMs), await database(settled, timeoutMs), vectors(config)]
}

async function redis({ redis: { url } }: Config, timeoutMs: number): Promise<Finding> {
  const { ok, warning, failed, skipped } = about('redis')
  if (url === null) return skipped('not configured; one process needs none')
  try {
    const urls = typeof url === 'string' ? [url] : url
    const { version, ms, fullAt, away } = await checkRedis({ urls, timeoutMs })
    const found = `Redis ${version} takes writes, in ${Math.ceil(ms)} ms`
    const lost = away.map(node => `; ${node}`).join('')
    if (fullAt === null && lost === '') return ok(found)
    if (fullAt === null) {
      return warning(`${found}${lost}`, 'Start the nodes that do not answer, or take them from redis.url.')
    }
    return warning(
      `${found}, until its ${Math.round(fullAt / 1024 / 1024)} MB are full (maxmemory-policy noeviction)${lost}`,
      'Set maxmemory-policy to volatile-lru: stored answers then make room for limits and budgets.',
    )
  } catch (thrown) {
    const message = messageOf(thrown)
    return failed(`Redis cannot be used: ${message}`, remedyFor(message, REDIS))
  }
}

async function database({ config, env }: Settled, timeoutMs: number): Promise<Finding> {
  const { ok, warning, failed } = about('database')
  const place = databasePlace(config, env)
  const name = place.kind === 'postgres' ? 'Postgres' : `SQLite, ${place.file ?? 'in memory'}`
  try {
    const options = { place, pool: 1, timeoutMs: Math.min(timeoutMs, config.database.timeout) }
    const states = await migrationsOf(options)
    const pending = states.filter(({ appliedAt }) => appliedAt === null).length
    if (pending === 0) {
      await tryToWrite(options)
      const newer = states.filter(({ known }) => !known)
      if (newer.length === 0) return ok(`${name}: up to date, and takes writes`)
      return warning(
        `${name}: a newer version has brought it up to date (${counted(newer.length, 'step')} that this one does not know), and it takes writes`,
        'Run that version everywhere: this one works on, but `citadel audit verify` of it takes rows of that one for changed.',
      )
    }
    if (!(await mayMakeTables(options))) {
      return failed(
        `${name}: permission denied: tables are missing, and its user may not make them`,
        remedyFor('permission denied', DATABASE),
      )
    }
    if (pending === states.length) return ok(`${name}: empty; its tables are made when they are needed`)
    return warning(
      `${name}: ${pending} changes of its tables are pending`,
      'Run `citadel migrate`; a start does it too.',
    )
  } catch (thrown) {
    const message = (await unknownHost(place)) ?? messageOf(thrown)
    return failed(`${name} cannot be used: ${message}`, remedyFor(message, DATABASE))
  }
}

/** What the name service says of a host that it does not know; `null` for all others. The client of Postgres only says
 * that it failed to connect. */
async function unknownHost(place: DatabasePlace): Promise<string | null> {
  if (place.kind === 'sqlite') return null
  const host = new URL(place.url).hostname.replace(/^\[|\]$/g, '')
  return host === '' ? null : lookup(host).then(() => null, messageOf)
}

function vectors({ vectors: { url } }: Config): Finding {
  const { skipped } = about('vectors')
  return skipped(url.startsWith('memory:') ? 'in memory' : 'not looked at: nothing uses them yet')
}
