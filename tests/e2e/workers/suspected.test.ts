import { expect, test } from 'bun:test'
import { createSharedFolder } from '#stores/shared.ts'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { openAiError } from '#tests/support/openai-upstream.ts'
import { crewOfTwo, until } from './crew.ts'

test('calls that fail in one worker bring the probe of another one forward', async () => {
  const { folder, remove } = createSharedFolder()
  const [leading, following] = crewOfTwo()
  await using server = await startModelServer(openAiError(500, 'broken', null))
  const more = { retry: { max_attempts: 1 }, load_balancer: { health_check_interval: '10m' } }
  const config = configOf([server], more)
  const probes = () => server.requests.filter(({ path }) => path.endsWith('/health')).length
  {
    await using _ = await startGateway(config, {
      worker: { crew: leading, folder, place: 1, name: 'one', steadyMs: 0 },
    })
    await using follower = await startGateway(config, {
      worker: { crew: following, folder, place: 2, name: 'two', steadyMs: 0 },
    })
    await until('the server was probed', () => probes() === 1)

    for (let n = 0; n < 5; n++) await (await follower.chat()).text()
    await until('the server was probed again', () => probes() === 2)

    expect(server.calls).toHaveLength(5)
  }
  remove()
}, 40_000)
