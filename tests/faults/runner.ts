import { expect } from 'bun:test'
import { type FakeClock, fakeClock, settled } from '#tests/support/clock.ts'
import { parseExposition } from '#tests/support/exposition.ts'
import {
  type LogLine,
  type ModelServer,
  startGateway,
  startModelServer,
  type TestGateway,
  type Tree,
} from '#tests/support/gateway.ts'
import { type Gate, gate, type RecordedRequest, type Script, type Steps } from '#tests/support/upstream.ts'
import { type Cell, soundAnswer, TEXT } from './cells.ts'
import { type Fault, OWN_KEY, type Told } from './fault.ts'

/** Who else could answer. */
export const TOPOLOGIES = ['one server', 'two servers', 'a fallback model'] as const
export type Topology = (typeof TOPOLOGIES)[number]

/** Longer than any rest that a server is given. */
const RESTED_MS = 61_000
const CONNECT_MS = 2500
/** How soon a silence goes on that has ended nothing: on a busy machine the gateway may not have read by then what came
 * before it, and what it waits for begins only with that. */
const GOES_ON_MS = 2000
const CALM = { lagMs: 0, memory: 0 }
/** Clocks of the server that breaks; those of the sound one are the usual ones, and never run out. */
const IMPATIENT = { connect: '2s', first_byte: '5s', first_token: '6s', idle: '5s' }
const PATIENT = { connect: '1h', first_byte: '1h', first_token: '1h', idle: '1h', total: '1h' }

/** Starts a gateway in front of the server `a`, which breaks, and `b`, which does not. Each has one place, so that one
 * that is not given back is missed. */
export function startBetween(
  urls: { readonly a: string; readonly b: string },
  topology: Topology,
  timeouts: Tree,
  clock: FakeClock,
): Promise<TestGateway> {
  const server = (id: string, base_url: string, more: Tree = {}) => ({
    ...{ id, base_url, kind: 'openai_compatible', api_key: OWN_KEY, max_concurrent: 1 },
    ...more,
  })
  const on = (...ids: string[]) => ids.map(id => ({ server: id, model: 'test-model' }))
  const config = {
    servers: [server('a', urls.a, { timeouts }), server('b', urls.b)],
    models: {
      chat: {
        targets: topology === 'two servers' ? on('a', 'b') : on('a'),
        fallbacks: topology === 'a fallback model' ? ['spare'] : [],
        capabilities: { context_length: 8192 },
      },
      spare: { targets: on('b'), capabilities: { context_length: 32_768 } },
    },
    // Time is moved in leaps: a probe that is under way meanwhile is not to blame.
    load_balancer: { algorithm: 'explicit', health_check_interval: '1h', health_check_timeout: '1h' },
    monitoring: { thresholds: { response_time: ['1h', '1h'] } },
  }
  return startGateway(config, { clock, random: () => 0, pressure: () => CALM })
}

/** Plays one cell of the matrix, and holds what the caller reads, what is logged and what is left behind against what
 * the table says. */
export async function play(fault: Fault, cell: Cell, topology: Topology): Promise<void> {
  const clock = fakeClock()
  clock.advance(1)
  const seen = gate()
  const pass = () => clock.advance(fault.silence ?? CONNECT_MS)
  const passTime = () => void settled().then(pass)
  let mended = fault.play === undefined
  await using sound = await startModelServer(soundAnswer, { key: OWN_KEY })
  const script = fault.play?.({ cell, seen, stall: stallAt(passTime), elsewhere: sound.url }) ?? []
  const start = (port = 0) =>
    startModelServer(request => (mended ? soundAnswer(request) : stepsOf(script, request)), {
      port,
      key: OWN_KEY,
    })
  await using place = (await fault.place?.(passTime)) ?? null
  await using broken = await start()
  const urls = { a: place?.url ?? broken.url, b: sound.url }
  const timeouts = fault.waits ? PATIENT : { ...IMPATIENT, ...fault.timeouts }
  const gateway = await startBetween(urls, topology, timeouts, clock)
  await using _ = closing(gateway, [broken, sound])
  if (fault.warm) await ask(gateway, cell)

  const stands = () => !mended && broken.calls.some(({ closedAt }) => closedAt === null)
  using _silence = fault.silence === undefined ? null : goingOn(stands, pass)
  const beat = fault.waits ? setInterval(() => clock.advance(250), 2) : undefined
  const answer = await ask(gateway, cell, seen)
  clearInterval(beat)

  const expected = expectationOf(fault, cell, topology)
  expectAnswer(answer, cell, expected)
  expectSecrets(answer, Object.values(urls))
  const line = await lineOf(gateway, clock, { request_id: answer.headers.get('x-request-id') })
  expect(line).toMatchObject(expected.line)
  expect(sound.calls.length).toBe(expected.elsewhere ? 1 : 0)
  expect(sound.requests.filter(({ path }) => path.startsWith('/stolen'))).toEqual([])
  await Promise.all(broken.calls.map(call => call.played))
  await expectNothingLeft(gateway, line)

  mended = true
  await using late = place?.port === undefined ? null : await start(place.port)
  clock.advance(RESTED_MS)
  const hopeless = place !== null && late === null
  const next = await ask(gateway, cell, seen, hopeless ? 'spare' : 'chat')
  expect([next.status, next.headers.get('x-citadel-server')]).toEqual([200, hopeless ? 'b' : 'a'])
}

/** Lets more time pass as long as something is the case. */
function goingOn(isSo: () => boolean, pass: () => void): Disposable {
  const beat = setInterval(() => {
    if (isSo()) pass()
  }, GOES_ON_MS)
  return { [Symbol.dispose]: () => clearInterval(beat) }
}

/** Steps that stop for good, and let time pass. */
function stallAt(passTime: () => void): Gate {
  return { ...gate(), reach: passTime }
}

function stepsOf(script: Script, request: RecordedRequest): Steps | Promise<Steps> {
  return typeof script === 'function' ? script(request) : script
}

/** Closes the gateway at the end of a test; its servers then must have no connection left. */
export function closing(gateway: TestGateway, servers: readonly ModelServer[]): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await Promise.all(servers.map(server => server.allClosed()))
    },
  }
}

interface Expectation {
  readonly told: Told
  readonly server: string | null
  readonly model: string
  readonly elsewhere: boolean
  readonly attempts: number
  readonly line: LogLine
}

/** What the table says of one cell. */
export function expectationOf(fault: Fault, { stream }: Pick<Cell, 'stream'>, topology: Topology): Expectation {
  const { alone, final, again } = fault
  const larger = fault.larger === true && topology === 'a fallback model'
  const elsewhere = topology !== 'one server' && (final !== true || larger)
  const cut = typeof alone === 'object' && 'event' in alone
  const retries = again && !cut
  // Of a stream one attempt is kept back, to go on when it is cut.
  const tries = topology === 'one server' ? (stream ? 3 : 4) : topology === 'two servers' ? 1 : 2
  const attempts = (retries ? tries : 1) + (elsewhere ? 1 : 0)
  const told = elsewhere ? 'the whole answer' : alone
  const spare = elsewhere && topology === 'a fallback model'
  const code = told === 'the whole answer' ? null : 'event' in told ? told.event : told.code
  const outcome = code === null ? (elsewhere && cut ? 'recovered' : 'ok') : cut ? 'interrupted' : 'failed'
  const status = told === 'the whole answer' || 'event' in told ? 200 : told.status
  return {
    told,
    attempts,
    elsewhere,
    // The headers of a stream say who began it.
    server: elsewhere && !cut ? 'b' : 'a',
    model: spare && !cut ? 'spare' : 'chat',
    line: { message: 'request', status, code, outcome, attempts, stream },
  }
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Asks for an answer and reads it to its end; `seen` opens with the first content. */
export async function ask(gateway: TestGateway, cell: Cell, seen?: Gate, model = 'chat'): Promise<Answer> {
  const body = JSON.stringify({ model, ...cell.body })
  const response = await fetch(gateway.url + cell.path, { method: 'POST', body })
  const decoder = new TextDecoder()
  let text = ''
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes, { stream: true })
    if (cell.stream && response.ok && cell.contentOf(text.slice(0, text.lastIndexOf('\n\n') + 2)) !== '') seen?.open()
  }
  return { status: response.status, headers: response.headers, text }
}

function expectAnswer({ status, headers, text }: Answer, cell: Cell, { told, ...expected }: Expectation): void {
  const inside = ['set-cookie', 'x-inside', 'location', 'content-encoding', 'keep-alive', 'link']
  expect(inside.filter(name => headers.has(name))).toEqual([])
  if (told !== 'the whole answer' && 'status' in told) {
    const { error } = JSON.parse(text)
    expect([status, error.code]).toEqual([told.status, told.code])
    if (expected.attempts > 1) expect(error.attempts).toHaveLength(expected.attempts)
    // Clients try again by themselves what the gateway has not.
    const comesSoon = told.status === 429 && Number(headers.get('retry-after')) <= 60
    if (error.attempts !== undefined) expect(headers.get('x-should-retry')).toBe(comesSoon ? null : 'false')
    return
  }
  const named = ['model', 'server'].map(name => headers.get(`x-citadel-${name}`))
  expect([status, ...named]).toEqual([200, expected.model, expected.server])
  if (told === 'the whole answer') {
    expect(cell.contentOf(text)).toBe(TEXT)
    if (!cell.stream) return
    expect(text).toEndWith('data: [DONE]\n\n')
    expect(text.split('"finish_reason":"stop"').length).toBe(2)
    return
  }
  const last = text.trimEnd().split('\n\n').at(-1)?.slice('data: '.length) ?? ''
  expect(JSON.parse(last).error).toMatchObject({ code: told.event, delivered_chars: 'Hello'.length })
  expect(text).not.toContain('[DONE]')
}

/** Nothing of the inside is told to the caller. */
function expectSecrets({ headers, text }: Answer, urls: readonly string[]): void {
  const told = `${JSON.stringify([...headers])}${text}`
  const ports = urls.map(url => new URL(url).port).filter(port => port !== '')
  for (const secret of [OWN_KEY, '127.0.0.1', '10.1.2.3', 'nobody', ...ports.map(port => `:${port}`)]) {
    expect(told).not.toContain(secret)
  }
}

/** The line of a request; lines are written when their time has come. */
export async function lineOf(gateway: TestGateway, clock: FakeClock, values: LogLine): Promise<LogLine> {
  let line: LogLine | null = null
  void gateway.logged(values).then(found => {
    line = found
  })
  while (line === null) {
    await settled()
    clock.advance(100)
  }
  return line
}

/** After each fault: nothing is under way, no place is taken, nobody waits, and one line tells of the request. */
export async function expectNothingLeft(gateway: TestGateway, line: LogLine): Promise<void> {
  const health = await (await fetch(`${gateway.url}/health/detailed`)).json()
  const metrics = parseExposition(await (await fetch(`${gateway.url}/metrics`)).text())
  const { servers } = health as { readonly servers: readonly { readonly in_flight: number }[] }
  expect(servers.map(server => server.in_flight)).toEqual([0, 0])
  const gauges = ['http_requests_in_flight', 'gateway_streams_active', 'gateway_queue_depth']
  // The question itself is a request.
  expect(gauges.map(name => metrics.get(name))).toEqual([1, 0, 0])
  expect(gateway.lines.filter(each => each.request_id === line.request_id)).toHaveLength(1)
}
