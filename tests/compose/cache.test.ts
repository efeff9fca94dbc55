import { expect, test } from 'bun:test'
import type { Question } from '#cache/fingerprint.ts'
import { ALONE, type Crew, type News } from '#core/crew.ts'
import { composeCache } from '#src/compose/cache.ts'
import { configFrom } from '#src/index.ts'
import { anyone } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'

const config = configFrom({ cache: { enabled: true } })

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
  const { store, fingerprints } = composeCache(config, { clock: fakeClock(), redis: null, crew })
  const { asked, wasRead } = question()
  const name = fingerprints.of(asked) ?? ''
  fingerprints.remember(asked, name)
  wasRead()
  expect([fingerprints.of(asked), wasRead()]).toEqual([name, false])

  if (who === 'this process') await store.clear({})
  else for (const hear of heard) hear({ type: 'cache-cleared', selection: {} })

  expect([fingerprints.of(asked), wasRead()]).toEqual([name, true])
})
