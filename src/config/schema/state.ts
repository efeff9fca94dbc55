import { z } from 'zod'
import {
  boolean,
  choice,
  duration,
  fraction,
  holdsSeveral,
  identifier,
  integer,
  modelName,
  size,
  text,
  urlOf,
} from './scalars.ts'

const tenYears = 3653 * 86_400_000

const ttl = z
  .strictObject({
    chat: duration().default(3_600_000).describe('Chat and text answers.'),
    embeddings: duration().default(86_400_000).describe('Embeddings.'),
    models: duration().default(300_000).describe('The list of models.'),
  })
  .prefault({})

const semantic = z
  .strictObject({
    enabled: boolean().default(false).describe('Answers alike questions from one stored answer.'),
    model: modelName().nullable().default(null).describe('The embedding model that compares them.'),
    threshold: fraction().default(0.95).describe('How alike, 0 to 1.'),
  })
  .prefault({})

export const cache = z
  .strictObject({
    enabled: boolean().default(false).describe('Stores complete answers and serves them again.'),
    ttl: ttl.describe('How long an answer holds.'),
    max_memory: size().default(512_000_000).describe('Memory for stored answers.'),
    only_deterministic: boolean()
      .default(false)
      .describe('Stores only answers to requests with temperature 0 or a seed.'),
    scope: choice(['key', 'tenant']).default('key').describe('Who shares stored answers.'),
    coalesce: boolean().default(true).describe('Lets equal requests at the same time share one answer.'),
    keep_pace: boolean().default(false).describe('Gives a stored stream again at the pace at which it came.'),
    semantic: semantic.describe('Answers for questions that are alike.'),
  })
  .prefault({})
  .describe('Answers that are given again.')

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
      .describe('redis:// or rediss://, or a list of the nodes of a cluster.'),
    url_file: text().nullable().default(null).describe('A file that holds the address.'),
    timeout: duration({ min: 1 }).default(300).describe('How long an answer may take.'),
  })
  .prefault({})
  .transform(({ url_file: _, ...rest }) => rest)
  .describe('Shared state of several nodes.')

export const database = z
  .strictObject({
    url: urlOf(['sqlite:', 'postgres://', 'postgresql://'], 'sqlite: or postgres://host/database')
      .default('sqlite:')
      .describe('sqlite: keeps one file in data_dir; sqlite://path; postgres://…'),
    url_file: text().nullable().default(null).describe('A file that holds the address.'),
    timeout: duration({ min: 1 }).default(30_000).describe('How long a statement may take.'),
    pool: integer({ min: 1, max: 1000 }).default(10).describe('Connections at once.'),
  })
  .prefault({})
  .transform(({ url_file: _, ...rest }) => rest)
  .describe('Keys, usage, audit and the registry of servers.')

export const vectors = z
  .strictObject({
    url: urlOf(['memory:', 'http://', 'https://'], 'memory: or http://qdrant:6333')
      .default('memory:')
      .describe('memory: or Qdrant.'),
    collection: identifier().default('citadel_embeddings').describe('The collection there.'),
    timeout: duration({ min: 1 }).default(30_000).describe('How long an answer may take.'),
  })
  .prefault({})
  .describe('Embeddings for semantic lookup.')

export const audit = z
  .strictObject({
    enabled: boolean().default(true).describe('Records who did what.'),
    payloads: boolean().default(false).describe('Records prompts and answers too.'),
    retention: duration({ max: tenYears })
      .default(30 * 86_400_000)
      .describe('How long records are kept.'),
  })
  .prefault({})
  .describe('The record of what was done.')
