import { expect, test } from 'bun:test'
import { startGateway, type TestGateway } from '#tests/support/gateway.ts'
import { startRedis } from '#tests/support/redis.ts'
import { json, startUpstream } from '#tests/support/upstream.ts'

const LIST = { object: 'list', data: [{ id: 'test-model', object: 'model', created: 1, owned_by: 'test' }] }

/** What is listed once anything is; on a busy machine a list comes after the first look around. */
async function modelsOf({ url, gateway }: TestGateway): Promise<readonly string[]> {
  await gateway.found
  await gateway.later
  const deadline = performance.now() + 4000
  while (true) {
    const { data } = await (await fetch(`${url}/v1/models`)).json()
    if (data.length > 0 || performance.now() > deadline) return data.map(({ id }: { readonly id: string }) => id)
    await Bun.sleep(20)
  }
}

test('a gateway that begins while a server is silent has the models that another one was told of', async () => {
  await using redis = await startRedis()
  const server = await startUpstream(() => json(200, LIST))
  const config = {
    servers: [{ id: 'a', kind: 'openai_compatible', base_url: server.url }],
    redis: { url: redis.url, timeout: '5s' },
  }
  await using one = await startGateway(config)
  const told = await modelsOf(one)
  await server[Symbol.asyncDispose]()
  await using two = await startGateway(config)

  expect(told).toEqual(['test-model'])
  expect(await modelsOf(two)).toEqual(told)
})
