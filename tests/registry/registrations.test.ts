import { expect, test } from 'bun:test'
import { isDraining, type ServerRecord, type ServerStore } from '#core/registry.ts'
import { createRegistrations } from '#registry/registrations.ts'
import { createMemoryServers } from '#stores/memory-servers.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

test('an older look that is answered late does not undo what was seen since', async () => {
  const clock = fakeClock()
  const kept = createMemoryServers()
  const late = Promise.withResolvers<void>()
  let looks = 0
  const store: ServerStore = {
    change: change => kept.change(change),
    async list() {
      const seen = await kept.list()
      if (looks++ === 0) await late.promise
      return seen
    },
  }
  const told: boolean[] = []
  const onChange = (records: ReadonlyMap<string, ServerRecord>) => told.push(isDraining(records.get('a')))
  const registrations = createRegistrations({ store, clock, silenceMs: () => 90_000, onChange, onDeparted() {} })

  const started = registrations.start()
  await settled()
  await registrations.change({ kind: 'mark', id: 'a', status: 'draining', at: clock.time(), by: 'operator' })
  late.resolve()
  await started

  expect([isDraining(registrations.current().get('a')), ...told]).toEqual([true, true])
  registrations.stop()
})
