import { describe, expect, test } from 'bun:test'
import type { RequestRecord } from '#core/record.ts'
import { createStates } from '#registry/states.ts'
import type { MetricsOptions } from '#telemetry/metrics.ts'
import { model } from '#tests/support/calls.ts'
import { fakeClock } from '#tests/support/clock.ts'
import { METRICS_ALWAYS, parseExposition } from '#tests/support/exposition.ts'
import { snapshotOf, targetOf } from '#tests/support/fleet.ts'
import { metricsOf } from '#tests/support/metrics.ts'
import { attemptEntry, recordOf } from '#tests/support/records.ts'

const chat = model('chat', [targetOf('llm/mixtral'), targetOf('cloud/big')])
const models = [chat, model('small', [targetOf('llm/phi')])]

function setup(more: Partial<MetricsOptions> = {}) {
  const clock = fakeClock()
  const states = createStates()
  const metrics = metricsOf({ clock, snapshot: () => snapshotOf(models), states, ...more })
  return {
    clock,
    states,
    metrics,
    settle: (record: Partial<RequestRecord> = {}) =>
      metrics.subscriber({ type: 'request-settled', record: recordOf(record) }),
    read: async () => parseExposition(await metrics.render()),
  }
}

test('every call of the database is counted', async () => {
  const { metrics, read } = setup()
  const before = (await read()).get('database_queries_total')
  metrics.subscriber({ type: 'database-called', operation: 'read', ok: true, ms: 1 })
  metrics.subscriber({ type: 'database-called', operation: 'write', ok: false, ms: 1 })

  expect([before, (await read()).get('database_queries_total')]).toEqual([0, 2])
})

describe('the exposition', () => {
  test('can be parsed and has every documented metric', async () => {
    const { metrics, settle } = setup()
    settle({ stream: true, firstTokenAt: 5, contentFrames: 3 })
    metrics.subscriber({ type: 'fallback-taken', from: 'chat', to: 'small', reason: 'upstream_error' })
    metrics.subscriber({ type: 'limit-hit', scope: 'key' })

    const text = await metrics.render()

    expect(metrics.contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
    expect(parseExposition(text).size).toBeGreaterThan(50)
    for (const name of [...METRICS_ALWAYS, 'gateway_events_skipped_total', 'gateway_log_lines_dropped_total']) {
      expect(text).toContain(`# TYPE ${name} `)
    }
  })

  test('has metrics without labels from the start, with the value zero', async () => {
    const samples = await setup().read()

    expect(samples.get('ollama_requests_total')).toBe(0)
    expect(samples.get('gateway_overhead_seconds_count')).toBe(0)
    expect(samples.get('gateway_events_skipped_total')).toBe(0)
  })

  test('reports true values of the process', async () => {
    const { read } = setup({ lagMs: () => 250, memoryLimit: () => 2e9 })

    const samples = await read()

    expect(samples.get('process_resident_memory_bytes')).toBeWithin(10e6, 10e9)
    expect(samples.get('process_heap_bytes')).toBeWithin(1e5, 10e9)
    expect(samples.get('process_cpu_seconds_total')).toBeGreaterThan(0)
    expect(samples.get('process_open_fds')).toBeGreaterThan(2)
    expect(samples.get('process_event_loop_lag_seconds')).toBe(0.25)
    expect(samples.get('gateway_memory_limit_bytes')).toBe(2e9)
    expect(Math.abs((samples.get('process_start_time_seconds') ?? 0) - Date.now() / 1000)).toBeLessThan(3600)
  })

  test('reports the version of the build', async () => {
    const samples = await setup().read()

    expect(samples.get(`gateway_build_info{version="1.2.3",bun="${process.versions.bun}"}`)).toBe(1)
  })

  test('reports the name of the installation if it has one', async () => {
    const samples = await setup({ environment: () => 'production' }).read()
    const labels = `version="1.2.3",bun="${process.versions.bun}",environment="production"`

    expect(samples.get(`gateway_build_info{${labels}}`)).toBe(1)
  })
})

describe('a request', () => {
  test('is counted by method, route and status', async () => {
    const { settle, read } = setup()
    settle()
    settle()
    settle({ status: 429, model: null })
    settle({ method: 'GET', route: '/v1/models', model: null })

    const samples = await read()

    expect(samples.get('http_requests_total{method="POST",route="/v1/chat/completions",status="200"}')).toBe(2)
    expect(samples.get('http_requests_total{method="POST",route="/v1/chat/completions",status="429"}')).toBe(1)
    expect(samples.get('http_requests_total{method="GET",route="/v1/models",status="200"}')).toBe(1)
    expect(samples.get('http_request_duration_seconds_count{method="GET",route="/v1/models"}')).toBe(1)
  })

  test('is counted by model, server, status and stream if it is a model call', async () => {
    const { settle, read } = setup()
    settle()
    settle({ stream: true })
    settle({ status: 503, server: null, attempts: [] })

    const samples = await read()

    expect(samples.get('gateway_requests_total{model="chat",server="llm",status="200",stream="false"}')).toBe(1)
    expect(samples.get('gateway_requests_total{model="chat",server="llm",status="200",stream="true"}')).toBe(1)
    expect(samples.get('gateway_requests_total{model="chat",server="none",status="503",stream="false"}')).toBe(1)
  })

  test('has each attempt counted by server and result, and once more for Ollama', async () => {
    const { settle, read } = setup({ isOllama: server => server === 'llm' })
    settle({ attempts: [attemptEntry('cloud', { result: 'upstream_error' }), attemptEntry('llm')] })
    settle({ attempts: [attemptEntry('llm', { result: null })] })
    settle({
      attempts: [attemptEntry('llm', { startedAt: 20 }), attemptEntry('cloud', { result: 'lost', startedAt: 40 })],
    })

    const samples = await read()

    expect(samples.get('gateway_attempts_total{server="cloud",result="upstream_error"}')).toBe(1)
    expect(samples.get('gateway_attempts_total{server="llm",result="ok"}')).toBe(2)
    expect(samples.get('gateway_attempts_total{server="llm",result="client_closed_request"}')).toBe(1)
    expect(samples.get('gateway_attempts_total{server="cloud",result="lost"}')).toBe(1)
    // From the dial of the attempt that answered, in whatever order they were made: 40 ms and 30 ms.
    expect(samples.get('gateway_upstream_duration_seconds_count{server="llm",model="chat"}')).toBe(2)
    expect(samples.get('gateway_upstream_duration_seconds_sum{server="llm",model="chat"}')).toBeCloseTo(0.07)
    expect(samples.get('ollama_requests_total')).toBe(3)
  })

  test('is measured: overhead, time at the server, time to the first token, time between tokens', async () => {
    const { settle, read } = setup()
    settle({ stream: true, firstTokenAt: 30, contentFrames: 11, answeredAt: 80, endedAt: 81 })

    const samples = await read()

    expect(samples.get('gateway_overhead_seconds_sum')).toBeCloseTo(0.003)
    expect(samples.get('gateway_upstream_duration_seconds_sum{server="llm",model="chat"}')).toBeCloseTo(0.07)
    expect(samples.get('gateway_time_to_first_token_seconds_sum{server="llm",model="chat"}')).toBeCloseTo(0.03)
    expect(samples.get('gateway_inter_token_seconds_sum')).toBeCloseTo(0.005)
  })

  test('is measured from when it came, and its wait in the queue apart', async () => {
    const { settle, read } = setup()
    settle({
      stream: true,
      startedNow: 1000,
      queueMs: 20,
      dialledAt: 1022,
      attempts: [attemptEntry('llm', { startedAt: 1022 })],
      firstTokenAt: 1050,
      answeredAt: 1100,
      endedAt: 1101,
    })

    const samples = await read()
    const ofChat = '{server="llm",model="chat"}'

    expect(samples.get('gateway_overhead_seconds_sum')).toBeCloseTo(0.003)
    expect(samples.get('gateway_queue_wait_seconds_sum')).toBeCloseTo(0.02)
    expect(samples.get(`gateway_upstream_duration_seconds_sum${ofChat}`)).toBeCloseTo(0.078)
    expect(samples.get(`gateway_time_to_first_token_seconds_sum${ofChat}`)).toBeCloseTo(0.05)
    expect(samples.get('http_request_duration_seconds_sum{method="POST",route="/v1/chat/completions"}')).toBeCloseTo(
      0.101,
    )
  })

  test('is not measured where it did not wait, or got no answer', async () => {
    const { settle, read } = setup()
    settle({ stream: true, firstTokenAt: 0, answeredAt: 0, endedAt: 90, status: 502 })

    const samples = await read()

    expect(samples.get('gateway_overhead_seconds_sum')).toBeCloseTo(0.002)
    expect(samples.get('gateway_queue_wait_seconds_count')).toBe(0)
    expect([...samples.keys()].filter(name => /upstream_duration|first_token/.test(name))).toEqual([])
  })

  test('counts the load that it spared where it went to the server that had the model', async () => {
    const { settle, read } = setup()
    const candidate = { model: chat, target: targetOf('llm/mixtral'), reason: 'in memory' }
    const plan = { model: chat, strategy: 'resident', candidates: [candidate], sparesLoad: true }
    settle({ plan })
    settle({ plan, server: 'cloud' })
    settle({ plan: { ...plan, sparesLoad: false } })

    const samples = await read()
    const spared = [...samples].filter(([name]) => name.startsWith('gateway_model_loads_avoided_total'))

    expect(spared).toEqual([['gateway_model_loads_avoided_total{server="llm"}', 1]])
  })

  test('counts what it costs in dollars, and apart what nobody knows the price of', async () => {
    const { settle, read } = setup()
    settle({ costNano: 1_500_000_000 })
    settle({ costNano: 0 })
    settle({ costNano: null })

    const samples = await read()

    expect(samples.get('gateway_cost_usd_total{server="llm",model="chat"}')).toBe(1.5)
    expect(samples.get('gateway_cost_unknown_total{server="llm",model="chat"}')).toBe(1)
  })

  test('counts what the cache saved, and no token or cost of it again', async () => {
    const { settle, read } = setup()
    const from = (status: 'hit' | 'miss' | 'coalesced' | 'bypass') => ({ status, ageMs: 0, leftMs: 0 })
    const free = { attempts: [], dialledAt: 0, savedTokens: 46, savedNano: 500_000_000, costNano: 0 }
    settle({ ...free, cache: from('hit'), stream: true, firstTokenAt: 3 })
    settle({ ...free, cache: from('hit'), savedNano: null })
    settle({ ...free, cache: from('coalesced') })
    settle({ cache: from('bypass') })
    settle({ cache: from('miss') })

    const samples = await read()
    const named = (...names: string[]) => names.map(name => samples.get(name))

    expect(named('cache_hits_total', 'cache_misses_total', 'gateway_coalesced_total')).toEqual([2, 1, 1])
    expect(samples.get('gateway_saved_tokens_total{model="chat"}')).toBe(3 * 46)
    expect(samples.get('gateway_saved_cost_usd_total{model="chat"}')).toBe(1)
    expect(samples.get('gateway_tokens_total{server="llm",model="chat",type="output"}')).toBe(2 * 34)
    expect([...samples.keys()].filter(name => name.includes('first_token'))).toEqual([])
  })

  test('falls into the bucket of its duration and every larger one', async () => {
    const { settle, read } = setup()
    settle({ endedAt: 5 })
    settle({ endedAt: 6 })
    settle({ endedAt: 3_600_000 })

    const samples = await read()
    const bucket = (le: string) =>
      samples.get(`http_request_duration_seconds_bucket{method="POST",route="/v1/chat/completions",le="${le}"}`)

    expect(['0.005', '0.01', '600', '+Inf'].map(bucket)).toEqual([1, 2, 2, 3])
  })

  test('has each token counted in one type only', async () => {
    const { settle, read } = setup()
    settle({ usage: { input: 1, cacheRead: 2, cacheWrite: 3, output: 4, reasoning: 4, estimated: false } })

    const samples = await read()
    const tokens = [...samples].filter(([name]) => name.startsWith('gateway_tokens_total'))

    expect(tokens).toEqual([
      ['gateway_tokens_total{server="llm",model="chat",type="input"}', 1],
      ['gateway_tokens_total{server="llm",model="chat",type="output"}', 4],
      ['gateway_tokens_total{server="llm",model="chat",type="cache_read"}', 2],
      ['gateway_tokens_total{server="llm",model="chat",type="cache_write"}', 3],
    ])
  })

  test('counts as in flight until it is settled', async () => {
    const { metrics, settle, read } = setup()
    metrics.subscriber({ type: 'request-started', record: recordOf() })
    metrics.subscriber({ type: 'request-started', record: recordOf() })
    settle()

    expect((await read()).get('http_requests_in_flight')).toBe(1)
  })
})

describe('an error', () => {
  test('is counted by its code, and every code starts at zero', async () => {
    const { settle, read } = setup()
    const name = 'gateway_errors_total{code="queue_full"}'
    const before = (await read()).get(name)
    settle({ status: 429, code: 'queue_full' })
    settle()

    expect([before, (await read()).get(name)]).toEqual([0, 1])
  })
})

describe('label values', () => {
  test('are `other` for names that the configuration does not have', async () => {
    const { settle, read } = setup()
    const evil = 'x"} 1\nhttp_requests_total{a="'
    settle({ method: evil, model: evil, server: evil, status: 7000, attempts: [attemptEntry(evil)] })

    const samples = await read()

    expect(samples.get('gateway_requests_total{model="other",server="other",status="other",stream="false"}')).toBe(1)
    expect(samples.get('gateway_attempts_total{server="other",result="ok"}')).toBe(1)
    expect(samples.get('http_requests_total{method="other",route="/v1/chat/completions",status="other"}')).toBe(1)
  })

  test('appear when the configuration gets a new name', async () => {
    let known = models.slice(1)
    const { settle, read } = setup({ snapshot: () => snapshotOf(known) })
    settle()
    known = models
    settle()

    const samples = await read()

    expect(samples.get('gateway_requests_total{model="other",server="llm",status="200",stream="false"}')).toBe(1)
    expect(samples.get('gateway_requests_total{model="chat",server="llm",status="200",stream="false"}')).toBe(1)
  })

  test('are limited in number: later names are counted together', async () => {
    const { settle, read } = setup({ seriesMax: 5 })
    for (let status = 400; status < 420; status++) settle({ status })

    const samples = await read()
    const series = [...samples.keys()].filter(name => name.startsWith('http_requests_total'))

    expect(series).toHaveLength(6)
    expect(samples.get('http_requests_total{method="other",route="other",status="other"}')).toBe(15)
  })

  test('of routes are limited in number, too', async () => {
    const { settle, read } = setup()
    for (let at = 0; at < 1000; at++) settle({ route: `/${at}`, model: null })

    const series = [...(await read()).keys()].filter(name => name.startsWith('http_requests_total'))

    expect(series.length).toBeLessThanOrEqual(128)
  })
})

describe('the gauges', () => {
  test('follow streams, reloads, fallbacks and limits', async () => {
    const { metrics, read } = setup({ workers: () => 3, logLinesDropped: () => 7 })
    metrics.subscriber({ type: 'stream-opened' })
    metrics.subscriber({ type: 'stream-opened' })
    metrics.subscriber({ type: 'stream-closed' })
    metrics.subscriber({ type: 'config-reloaded', ok: false, message: 'broken' })
    metrics.subscriber({ type: 'fallback-taken', from: 'chat', to: 'small', reason: 'upstream_error' })
    metrics.subscriber({ type: 'limit-hit', scope: 'address' })
    metrics.subscriber({ type: 'answer-replayed' })
    for (const won of [true, false, true]) metrics.subscriber({ type: 'hedged', won })

    const samples = await read()

    expect(samples.get('gateway_streams_active')).toBe(1)
    expect(samples.get('gateway_config_last_reload_successful')).toBe(0)
    metrics.subscriber({ type: 'config-reloaded', ok: true, message: 'mended' })
    expect((await read()).get('gateway_config_last_reload_successful')).toBe(1)
    expect(samples.get('gateway_fallbacks_total{from="chat",to="small",reason="upstream_error"}')).toBe(1)
    expect(samples.get('gateway_rate_limited_total{scope="address"}')).toBe(1)
    expect(samples.get('gateway_idempotent_replays_total')).toBe(1)
    expect(samples.get('gateway_hedges_total{won="true"}')).toBe(2)
    expect(samples.get('gateway_hedges_total{won="false"}')).toBe(1)
    expect(samples.get('workers_active')).toBe(3)
    expect(samples.get('gateway_log_lines_dropped_total')).toBe(7)
  })

  test('follow what happens to the fleet, and how it is told on', async () => {
    const { metrics, read } = setup()
    const event = { id: 'a', type: 'server_departed', at: 0, server: 'llm', data: {} } as const
    for (const how of ['restart', 'prefill', 'restart'] as const) metrics.subscriber({ type: 'stream-recovered', how })
    metrics.subscriber({ type: 'model-loaded', server: 'llm', model: 'chat' })
    metrics.subscriber({ type: 'event-kept', event })
    for (const result of ['ok', 'lost'] as const) metrics.subscriber({ type: 'event-delivered', result })
    for (const ok of [true, true, false]) metrics.subscriber({ type: 'webhook-received', webhook: 'deploy', ok })

    const samples = await read()

    expect(samples.get('gateway_recoveries_total{how="restart"}')).toBe(2)
    expect(samples.get('gateway_model_loads_total{server="llm"}')).toBe(1)
    expect(samples.get('gateway_events_total{type="server_departed"}')).toBe(1)
    expect(samples.get('gateway_event_deliveries_total{result="lost"}')).toBe(1)
    expect(samples.get('gateway_webhooks_received_total{ok="true"}')).toBe(2)
    expect(samples.get('gateway_webhooks_received_total{ok="false"}')).toBe(1)
  })

  test('say when the certificate ends, in seconds, where there is one', async () => {
    const name = 'gateway_certificate_expires_seconds'

    expect((await setup({ certificateEnds: () => 1_500_000 }).read()).get(name)).toBe(1500)
    expect((await setup({ certificateEnds: () => null }).read()).has(name)).toBe(false)
  })

  test('report the health of each server once it was probed', async () => {
    const { states, read } = setup()
    states.server('llm').inFlight = 4
    states.server('llm').health = 'unhealthy'

    const samples = await read()

    expect(samples.get('gateway_inflight{server="llm"}')).toBe(4)
    expect(samples.get('gateway_inflight{server="cloud"}')).toBe(0)
    expect(samples.get('gateway_server_up{server="llm"}')).toBe(0)
    expect(samples.has('gateway_server_up{server="cloud"}')).toBe(false)
    states.server('cloud').health = 'degraded'
    expect((await read()).get('gateway_server_up{server="cloud"}')).toBe(1)
  })

  test('report the state of the circuit breaker of each target', async () => {
    const { states, read, clock } = setup()
    const target = targetOf('llm/phi')
    const name = 'gateway_breaker_state{server="llm",model="phi"}'
    const before = (await read()).get(name)
    states.target(target).breaker.openUntil = clock.now() + 5000
    const open = (await read()).get(name)
    clock.advance(5000)

    expect([before, open, (await read()).get(name)]).toEqual([0, 2, 1])
  })

  test('report the class of each model that has one', async () => {
    const heavy = model('heavy', [targetOf('llm/big')], { class: 'heavyweight' })
    const samples = await setup({ snapshot: () => snapshotOf([...models, heavy]) }).read()

    expect(samples.get('gateway_model_info{model="heavy",class="heavyweight"}')).toBe(1)
    expect(samples.get('gateway_model_info{model="chat",class="none"}')).toBe(1)
  })

  test('report the used share of the tightest budget', async () => {
    const budgets = () => [{ scope: 'tenant', ratio: 0.92 }]
    const ledger = { open: () => 0, depth: () => 5, dropped: () => 1, budgets }
    const samples = await setup({ ledger }).read()

    expect(samples.get('gateway_budget_used_ratio{scope="tenant"}')).toBe(0.92)
    expect([samples.get('gateway_spool_depth'), samples.get('gateway_spool_dropped')]).toEqual([5, 1])
  })

  test('count the callers of the last five minutes once each', async () => {
    const { settle, read, clock } = setup()
    settle({ caller: 'web' })
    settle({ caller: 'web' })
    settle({ caller: 'anonymous', address: '203.0.113.1' })
    for (const address of ['203.0.113.2', '203.0.113.3']) settle({ caller: null, address })
    settle({ caller: 'anonymous', address: '203.0.113.4' })
    settle({ caller: 'web', address: '203.0.113.5' })
    const before = (await read()).get('user_sessions_active')
    clock.advance(200_000)
    settle({ caller: 'web' })
    clock.advance(200_000)

    expect([before, (await read()).get('user_sessions_active')]).toEqual([5, 1])
  })
})
