import { z } from 'zod'
import { holdsSeveral, urlOf } from './addresses.ts'
import { boolean, choice, duration, fraction, identifier, integer, modelName, size, text } from './scalars.ts'

const tenYears = 3653 * 86_400_000

const ttl = z
  .strictObject({
    chat: duration().default(3_600_000).describe('How long answers of chat and text completions stay valid.'),
    embeddings: duration().default(86_400_000).describe('How long embeddings stay valid.'),
    models: duration()
      .default(300_000)
      .describe(
        "How long a server's list of models is used before the server is asked again; also while the cache is off.",
      ),
  })
  .prefault({})

const semantic = z
  .strictObject({
    enabled: boolean()
      .default(false)
      .describe('Whether a stored answer also serves similar questions. It has no effect yet.'),
    model: modelName()
      .nullable()
      .default(null)
      .describe('The embedding model that compares questions. It has no effect yet.'),
    threshold: fraction()
      .default(0.95)
      .describe('How similar two questions must be, from 0 to 1. It has no effect yet.'),
  })
  .prefault({})

export const cache = z
  .strictObject({
    enabled: boolean()
      .default(false)
      .describe('Whether complete answers are stored and given again to equal requests.'),
    ttl: ttl.describe('How long what is stored stays valid.'),
    max_memory: size()
      .default(512_000_000)
      .describe('The memory for stored answers in each process; at most a quarter of what it may use.'),
    only_deterministic: boolean()
      .default(false)
      .describe('Whether only embeddings, and answers to requests with temperature 0 or a seed, are stored.'),
    scope: choice(['key', 'tenant'])
      .default('key')
      .describe(
        'Who shares stored answers. key: each key only its own; tenant: the keys of a tenant that may use the same models.',
      ),
    coalesce: boolean().default(true).describe('Whether equal requests at the same time share one call to a server.'),
    keep_pace: boolean()
      .default(false)
      .describe('Whether a stored stream is given again at its original pace; false: all at once.'),
    semantic: semantic.describe('Stored answers for similar questions. It has no effect yet.'),
  })
  .prefault({})
  .describe('Stored answers that are given again to equal requests.')

/** The database number in the address of Redis, as text; empty where there is none. */
const databaseOf = (url: string) => URL.parse(url)?.pathname.slice(1) ?? ''

const SEVERAL_NODES =
  'holds more than one address; the nodes of a cluster are a list in the file, ["redis://a:6379", "redis://b:6379"]'

const redisUrl = () =>
  urlOf(['redis://', 'rediss://'], 'redis://127.0.0.1:6379', SEVERAL_NODES).refine(
    // An address with an `@` here could not be parsed, and has its own message.
    value => holdsSeveral(value) || /^\d*$|@/.test(databaseOf(value)),
    'expected the number of a database, such as redis://127.0.0.1:6379/1',
  )

const redisCluster = () =>
  z
    .array(redisUrl())
    .min(1)
    .refine(
      urls => urls.length === 1 || !urls.some(url => Number(databaseOf(url)) > 0),
      'a cluster has database 0 alone',
    )

export const redis = z
  .strictObject({
    url: z
      .union([redisUrl(), redisCluster()], {
        error: 'expected an address such as redis://127.0.0.1:6379, or a list',
      })
      .transform(value => (typeof value === 'string' ? [value] : value))
      .nullable()
      .default(null)
      .describe(
        'The address, such as redis://127.0.0.1:6379 or rediss:// for TLS, or a list of the nodes of a cluster. null: no Redis.',
      ),
    url_file: text().nullable().default(null).describe('A file that holds the address, such as /run/secrets/redis.'),
    timeout: duration({ min: 1 })
      .default(300)
      .describe('How long Redis may take to answer; if it takes longer, it is not used until it answers again.'),
  })
  .prefault({})
  .transform(({ url_file: _, ...rest }) => rest)
  .describe('The Redis server in which several gateways share limits, places at servers and stored answers.')

/** The runtime refuses any other when it first connects, which looks like a database that is away. It also takes `required`,
 * and `_` for `-`. */
const SSL_MODES = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

const hasKnownSslMode = (url: string) => {
  const mode = url.startsWith('postgres') ? URL.parse(url)?.searchParams.get('sslmode') : null
  return !mode || mode === 'required' || SSL_MODES.includes(mode.toLowerCase().replace('_', '-'))
}

export const database = z
  .strictObject({
    url: urlOf(['sqlite:', 'postgres://', 'postgresql://'], 'sqlite: or postgres://host/database')
      .refine(hasKnownSslMode, `sslmode is one of ${SSL_MODES.join(', ')}`)
      .default('sqlite:')
      .describe(
        'The address: sqlite: for a file in service.data_dir, sqlite://path for another file, or postgres://user@host/name.',
      ),
    url_file: text().nullable().default(null).describe('A file that holds the address, such as /run/secrets/database.'),
    timeout: duration({ min: 1 }).default(30_000).describe('How long a statement may take before it is given up.'),
    pool: integer({ min: 1, max: 1000 })
      .default(10)
      .describe('The most connections to Postgres that are open at the same time.'),
  })
  .prefault({})
  .transform(({ url_file: _, ...rest }) => rest)
  .describe('The database of keys, usage, the audit log and registered servers.')

export const vectors = z
  .strictObject({
    url: urlOf(['memory:', 'http://', 'https://'], 'memory: or http://qdrant:6333')
      .default('memory:')
      .describe(
        'Where vectors are kept: memory:, or the address of Qdrant, such as http://qdrant:6333. It has no effect yet.',
      ),
    collection: identifier()
      .default('citadel_embeddings')
      .describe('The name of the collection in Qdrant. It has no effect yet.'),
    timeout: duration({ min: 1 }).default(30_000).describe('How long Qdrant may take to answer. It has no effect yet.'),
  })
  .prefault({})
  .describe('The store of vectors for finding similar questions. It has no effect yet.')

export const audit = z
  .strictObject({
    enabled: boolean()
      .default(true)
      .describe('Whether an audit log is kept: refused keys and limits, errors, and every administrative change.'),
    payloads: boolean()
      .default(false)
      .describe('Whether the prompt and the answer of each model call are recorded too.'),
    retention: duration({ max: tenYears })
      .default(30 * 86_400_000)
      .describe('How long the audit log and the rows of requests are kept, such as 90d.'),
  })
  .prefault({})
  .describe('The audit log, and how long the rows of requests are kept.')
