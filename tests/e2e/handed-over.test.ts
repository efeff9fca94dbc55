import { expect, test } from 'bun:test'
import { systemClock } from '#core/clock.ts'
import { callBody, configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'

/** More steps than lie between a call whose answer is stored and its stream. */
const STEPS_MAX = 60

test('a caller in the same process that leaves at any step of its stream is forgotten', async () => {
  const real = systemClock()
  let begin = () => {}
  const clock = {
    ...real,
    now() {
      begin()
      return real.now()
    },
  }
  await using server = await startModelServer(openAiScript())
  await using gateway = await startGateway({ ...configOf([server]), cache: { enabled: true } }, { clock })
  // From the cache, so that nothing but steps in the same turn lies between the call and its stream.
  const ask = (signal: AbortSignal | null) => {
    const body = JSON.stringify(callBody({ stream: true }))
    return gateway.gateway.fetch(
      new Request(`${gateway.url}/v1/chat/completions`, { method: 'POST', body, ...(signal && { signal }) }),
    )
  }
  await (await ask(null)).text()
  const statuses: number[] = []

  for (let steps = 0; steps < STEPS_MAX; steps++) {
    const leaving = new AbortController()
    begin = () => {
      begin = () => {}
      void after(steps, () => leaving.abort())
    }
    const answer = await ask(leaving.signal)
    statuses.push(answer.status)
    await answer.body?.cancel()
  }

  await gateway.gateway.idle()
  expect(statuses).toContain(499)
})

/** Runs something so many steps later in the same turn of the event loop. */
async function after(steps: number, run: () => void): Promise<void> {
  for (let step = 0; step < steps; step++) await null
  run()
}
