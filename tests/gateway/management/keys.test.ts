import { describe, expect, test } from 'bun:test'
import { createJournal, type Fact } from '#core/journal.ts'
import { createKeyManagement } from '#gateway/management/keys.ts'
import { createIds } from '#lib/id.ts'
import { createMemoryKeys } from '#stores/memory-keys.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { keyCreation } from '#wire/keys.ts'

const ACTOR = { by: 'admin', tenant: 'default' }

function setup() {
  const facts: Fact[] = []
  const management = createKeyManagement({
    store: createMemoryKeys(),
    clock: fakeClock(),
    newId: createIds(),
    journal: createJournal([fact => facts.push(fact)]),
    changed: async () => {},
  })
  const make = (wished: object = {}) => management.create(ACTOR, keyCreation.parse({ name: 'web', ...wished }))
  const details = () => facts.map(fact => (fact.type === 'administered' ? fact.detail : null))
  return { management, make, facts, details }
}

describe('what is told of a change', () => {
  test('is what a new key may do, without its secrets', async () => {
    const { make, details } = setup()

    const { key, signing_secret, prefix } = await make({ role: 'operator', models: ['chat'], signing: true })

    expect(details()).toMatchObject([{ after: { name: 'web', role: 'operator', models: ['chat'], prefix } }])
    expect(JSON.stringify(details())).not.toContain(key)
    expect(JSON.stringify(details())).not.toContain(`${signing_secret}`)
  })

  test('is what a patch names, before and after', async () => {
    const { management, make, details } = setup()
    const { id } = await make({ expires_at: '2037-01-01T00:00:00Z' })

    await management.update(ACTOR, id, { role: 'admin', expires_at: null })

    expect(details().at(-1)).toEqual({
      before: { role: 'caller', expires_at: '2037-01-01T00:00:00.000Z' },
      after: { role: 'admin', expires_at: null },
    })
  })

  test('is what each of two patches found that cross', async () => {
    const { management, make, details } = setup()
    const { id } = await make({ name: 'first' })

    await Promise.all(['second', 'third'].map(name => management.update(ACTOR, id, { name })))

    expect(details().slice(1)).toEqual([
      { before: { name: 'first' }, after: { name: 'second' } },
      { before: { name: 'second' }, after: { name: 'third' } },
    ])
  })

  test('is which secret a rotation has ended, and when', async () => {
    const { management, make, details } = setup()
    const made = await make()

    const { prefix, previous_until } = await management.rotate(ACTOR, made.id, 60_000)

    expect(details().at(-1)).toEqual({
      before: { prefix: made.prefix, previous_until: null },
      after: { prefix, previous_until },
    })
  })
})

test.each(['rotate', 'update'] as const)('a key that is revoked meanwhile is not there to %s', async change => {
  const { management, make, facts } = setup()
  const { id } = await make()

  const changing =
    change === 'rotate' ? management.rotate(ACTOR, id, 0) : management.update(ACTOR, id, { role: 'admin' })
  const ends = await Promise.allSettled([changing, management.revoke(ACTOR, id)])

  expect(ends).toMatchObject([{ reason: { code: 'conflict' } }, { value: { status: 'revoked' } }])
  expect(facts.map(fact => (fact.type === 'administered' ? fact.action : null))).toEqual(['key-created', 'key-revoked'])
})

test.each([
  [{ requests_per_minute: 0 }, { burst: 5 }],
  [{ requests_per_minute: 60, burst: 5 }, { requests_per_minute: 0 }],
])('a key with the limits %j is not given %j, which would leave a burst of nothing', async (limits, patch) => {
  const { management, make } = setup()
  const { id } = await make({ limits })

  const changed = management.update(ACTOR, id, { limits: patch })

  await expect(changed).rejects.toMatchObject({ code: 'invalid_request', param: 'limits.burst' })
  expect((await management.show('default', id)).limits).toMatchObject(limits)
})
