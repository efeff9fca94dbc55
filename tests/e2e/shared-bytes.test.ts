import { expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents } from '#tests/support/openai-upstream.ts'
import { seeded } from '#tests/support/random.ts'
import { gate, sse } from '#tests/support/upstream.ts'

const deltas = [
  'Hello',
  ' thé',
  ' "re',
  '\n\n',
  ' 日本',
  ' 😀',
  '\u2028',
  ' data: {}',
  ',"usage":null',
  ' \\',
  ' long'.repeat(99),
]
const events = chatEvents('test-model', { deltas: [...deltas, ...deltas, ...deltas] })
const ends: number[] = []
for (const event of events) ends.push((ends.at(-1) ?? 0) + sizeOf(event))

test('an answer has the same bytes for who began, who joined, who asks later, and without a cache', async () => {
  const random = seeded(1)
  for (let round = 0; round < 8; round++) {
    // Mostly whole events, which may pass as they are, and now and then a piece of one.
    const split = ends.filter(() => random() < 0.8).map(end => (random() < 0.1 ? end - 9 : end))
    const middle = gate()
    await using server = await startModelServer(sse([...events.slice(0, 15), middle, ...events.slice(15)], { split }))
    await using gateway = await startGateway(configOf([server], { cache: { enabled: true } }))
    await using uncached = await startGateway(configOf([server]))

    const begun = await gateway.chat({ stream: true })
    await middle.reached
    const joined = await gateway.chat({ stream: true })
    middle.open()
    const texts = await Promise.all([begun, joined].map(response => response.text()))
    const later = await gateway.chat({ stream: true })
    // Another question, whose answer nobody joins.
    const own = await (await gateway.chat({ stream: true, seed: 1 })).text()
    const ownLater = await gateway.chat({ stream: true, seed: 1 })
    const alone = await (await uncached.chat({ stream: true })).text()

    expect([joined, later, ownLater].map(({ headers }) => headers.get('x-citadel-cache'))).toEqual([
      'coalesced',
      'hit',
      'hit',
    ])
    expect([...texts, own]).toEqual([alone, alone, alone])
    for (const stored of [later, ownLater]) expect(unnamed(await stored.text())).toBe(unnamed(alone))
  }
})

/** Without what each answer has of its own. */
function unnamed(text: string): string {
  return text.replaceAll(/"id":"[^"]*"/g, '"id":""').replaceAll(/"created":\d+/g, '"created":0')
}

function sizeOf(event: string | object): number {
  return Buffer.byteLength(`data: ${typeof event === 'string' ? event : JSON.stringify(event)}\n\n`)
}
