import { expect, test } from 'bun:test'
import { GatewayError } from '#core/errors.ts'
import { createReceiver, type Delivered } from '#gateway/management/receive.ts'
import { createIds } from '#lib/id.ts'
import { signWebhook } from '#lib/standard-webhooks.ts'
import { createMemoryEvents } from '#stores/memory-events.ts'
import { fakeClock } from '#tests/support/clock.ts'

const SECRET = 'a secret of the sender'

/** A receiver whose stores are away as long as `away` says. */
function setup() {
  const clock = fakeClock()
  const events = createMemoryEvents({ entriesMax: 10, newId: createIds() })
  const away = { question: false, claim: false, change: false }
  const applied: string[] = []
  const receive = createReceiver({
    clock,
    journal: { note() {} },
    secrets: () => ({ server_status: SECRET }),
    async claim(...message) {
      if (away.question) throw new Error('away')
      const isNew = await events.claim(...message)
      // It is written down, and the answer is lost.
      if (away.claim) throw new Error('away')
      return isNew
    },
    orchestration: {
      async alert(id) {
        if (away.change) throw new GatewayError('dependency_unavailable', 'The database cannot be reached.')
        applied.push(id)
        return true
      },
      report: async () => true,
    },
  })
  const body = JSON.stringify({ server_id: 'a', status: 'unhealthy' })
  const seconds = Math.floor(clock.time() / 1000)
  const message: Delivered = {
    type: 'server_status',
    body: async () => body,
    headers: new Headers({
      'webhook-id': 'm1',
      'webhook-timestamp': String(seconds),
      'webhook-signature': signWebhook(SECRET, { id: 'm1', seconds, body }),
    }),
  }
  const send = () =>
    receive(message).then(
      () => 'taken',
      thrown => thrown.code,
    )
  return { away, applied, send }
}

test.each(['question', 'claim', 'change'] as const)(
  'a message that the store could not take (%s) is taken when it comes again, once',
  async what => {
    const { away, applied, send } = setup()

    away[what] = true
    const before = [await send(), await send()]
    away[what] = false

    expect(before).toEqual(['dependency_unavailable', 'dependency_unavailable'])
    expect([await send(), await send()]).toEqual(['taken', 'invalid_signature'])
    expect(applied).toEqual(['a'])
  },
)
