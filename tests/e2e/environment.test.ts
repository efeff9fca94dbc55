import { expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import { configOf, startGateway, startModelServer, type TestGateway } from '#tests/support/gateway.ts'
import { openAiScript } from '#tests/support/openai-upstream.ts'
import { healthReport } from '#wire/health.ts'

async function shown(gateway: TestGateway) {
  const response = await gateway.chat()
  const line = await gateway.logged({ request_id: response.headers.get('x-request-id') })
  const health = healthReport.parse(await (await fetch(`${gateway.url}/health`)).json())
  const { text } = await gateway.gateway.metrics()
  const label = /gateway_build_info\{.*environment="(.*)"\}/.exec(text)?.[1]
  return [line.environment, health.environment, label]
}

test('the name of the installation stands in log lines, health and metrics, also after a reload', async () => {
  await using server = await startModelServer(openAiScript())
  const named = (environment: string | null) => configOf([server], { service: { environment } })
  await using gateway = await startGateway(named('production'))

  const first = await shown(gateway)
  gateway.gateway.reload(configFrom(named('staging')))
  const second = await shown(gateway)
  gateway.gateway.reload(configFrom(named(null)))
  const third = await shown(gateway)

  expect(first).toEqual(['production', 'production', 'production'])
  expect(second).toEqual(['staging', 'staging', 'staging'])
  expect(third).toEqual([undefined, undefined, undefined])
})
