import { expect, test } from 'bun:test'
import type { Question } from '#cache/fingerprint.ts'
import { systemClock } from '#core/clock.ts'
import { ALONE, type Crew, type News } from '#core/crew.ts'
import { composeCache } from '#src/compose/cache.ts'
import { configFrom } from '#src/index.ts'
import { openRedis } from '#stores/redis.ts'
import { answerOf } from '#tests/contract/cache.ts'
import { anyone } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { startRedis } from '#tests/support/redis.ts'

const YEAR_MS = 31_536_000_000
const config = configFrom({ cache: { enabled: true } })
const memoryMax = 1_000_000_000

/** A question, and whether its body was looked at since it was last asked. */
function question(): { readonly asked: Question; readonly wasRead: () => boolean } {
  let reads = 0
  const asked: Question = {
    ...{ endpoint: 'chat', caller: anyone, address: '203.0.113.7', scope: 'key', models: ['chat'] },
    ...{ text: '{"messages":[]}', server: null, strategy: null },
    body: {
      get messages() {
        reads++
        return []
      },
    },
  }
  const wasRead = () => {
    const read = reads > 0
    reads = 0
    return read
  }
  return { asked, wasRead }
}

test.each(['this process', 'another worker'])('a clearing of %s forgets the questions with the answers', async who => {
  const heard: ((news: News) => void)[] = []
  const crew: Crew = { ...ALONE, size: 2, listen: hear => void heard.push(hear) }
  const { store, fingerprints } = composeCache(config, { clock: fakeClock(), redis: null, crew, memoryMax })
  const { asked, wasRead } = question()
  const name = fingerprints.of(asked) ?? ''
  fingerprints.remember(asked, name)
  wasRead()
  expect([fingerprints.of(asked), wasRead()]).toEqual([name, false])

  if (who === 'this process') await store.clear({})
  else for (const hear of heard) hear({ type: 'cache-cleared', selection: {} })

  expect([fingerprints.of(asked), wasRead()]).toEqual([name, true])
})

test.each(['this process', 'another worker'])('a clearing of %s means what is under way, too', async who => {
  const heard: ((news: News) => void)[] = []
  const crew: Crew = { ...ALONE, size: 2, listen: hear => void heard.push(hear) }
  const clock = fakeClock()
  const { store } = composeCache(config, { clock, redis: null, crew, memoryMax })
  const before = clock.now()
  clock.advance(1)
  const { model, tenant } = answerOf('{}', clock)

  if (who === 'this process') await store.clear({ model, tenant })
  else for (const hear of heard) hear({ type: 'cache-cleared', selection: { model, tenant } })
  clock.advance(1)
  await store.set('chat:before', answerOf('{}', clock), before)
  await store.set('chat:other', answerOf('{}', clock, { model: 'another' }), before)
  await store.set('chat:after', answerOf('{}', clock), clock.now())

  expect(await store.get('chat:before')).toBeNull()
  expect(await store.get('chat:other')).not.toBeNull()
  expect(await store.get('chat:after')).not.toBeNull()
})

test('a clearing by a clock that is ahead for a moment keeps nothing from being stored afterwards', async () => {
  const clock = fakeClock()
  const { store } = composeCache(config, { clock, redis: null, crew: ALONE, memoryMax })
  clock.jump(YEAR_MS)
  await store.clear({})
  clock.jump(-YEAR_MS)
  clock.advance(1)
  await store.set('chat:after', answerOf('{}', clock), clock.now())

  expect(await store.get('chat:after')).not.toBeNull()
})

test('other workers hear of a clearing when Redis has nothing any more that could come near again', async () => {
  await using server = await startRedis()
  const clock = systemClock()
  const redis = openRedis({ urls: [server.url], timeoutMs: 2000, clock })
  const other = composeCache(config, { clock, redis, crew: ALONE, memoryMax })
  const found: unknown[] = []
  const tell = () => void found.push(other.store.get(KEY))
  const own = composeCache(config, { clock, redis, crew: { ...ALONE, size: 2, tell }, memoryMax })
  await own.store.set(KEY, answerOf('{}', clock))

  await own.store.clear({})

  expect(await Promise.all(found)).toEqual([null])
  for (const { close } of [own, other, redis]) close()
})

const KEY = `chat:${'0'.repeat(64)}`

test('takes at most a quarter of the memory of a process that is small', async () => {
  const clock = fakeClock()
  const { store } = composeCache(config, { clock, redis: null, crew: ALONE, memoryMax: 1_000_001 })
  const answer = answerOf('a'.repeat(10_000), clock)

  for (let index = 0; index < 20; index++) await store.set(`question ${index}`, answer)

  expect(store.size().bytes).toBeLessThanOrEqual(250_000)
  expect(store.size().entries).toBe(12)
})
