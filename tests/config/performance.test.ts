import { expect, test } from 'bun:test'
import { loadText, loadTexts } from '#tests/support/config-texts.ts'

const limitsOf = async (text: string, env = {}) => (await loadText(text, { env })).config.limits

test('turns requests per second into one limit over all callers', async () => {
  const limits = await limitsOf('performance: { rate_limit_rps: 2.5 }')

  expect(limits.global).toMatchObject({ requests_per_minute: 150, burst: 10 })
  expect(limits.per_client.requests_per_minute).toBe(0)
})

test('lets explicit limits of a file win', async () => {
  const text =
    'performance: { rate_limit_rps: 50, rate_limiting_enabled: true }\nlimits: { enabled: false, global: { requests_per_minute: 10 }, per_client: { requests_per_minute: 5 } }'

  const limits = await limitsOf(text)

  expect(limits).toMatchObject({
    enabled: false,
    global: { requests_per_minute: 10, burst: null },
    per_client: { requests_per_minute: 5 },
  })
})

test('lets explicit limits win also when they stand in another file', async () => {
  const { config } = await loadTexts({
    'a.yaml': 'limits: { global: { burst: 3 } }',
    'b.yaml': 'performance: { rate_limit_rps: 50 }',
  })

  expect(config.limits.global).toMatchObject({ requests_per_minute: 1000, burst: 3 })
})

test('lets the environment win over explicit limits of a file', async () => {
  const limits = await limitsOf('limits: { global: { requests_per_minute: 10, burst: 1 } }', { RATE_LIMIT_RPS: '1' })

  expect(limits.global).toMatchObject({ requests_per_minute: 60, burst: 4 })
})

test('leaves the limit of each caller in a file where the environment limits all callers', async () => {
  const limits = await limitsOf('limits: { per_client: { requests_per_minute: 5 } }', { RATE_LIMIT_RPS: '1' })

  expect(limits).toMatchObject({ global: { requests_per_minute: 60 }, per_client: { requests_per_minute: 5 } })
})

test('never turns a request timeout into a limit for whole answers', async () => {
  const { config } = await loadText('performance: { request_timeout_seconds: 30 }\ntimeouts: { idle: 5s }')

  expect(config.timeouts).toMatchObject({ first_byte: 30_000, idle: 5000, first_token: 120_000, total: 600_000 })
})
