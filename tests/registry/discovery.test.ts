import { describe, expect, test } from 'bun:test'
import { localPlaces } from '#providers/local.ts'
import { createDiscovery, type Discovered, type FoundAnswer } from '#registry/discovery.ts'
import { server } from '#tests/support/calls.ts'
import { fakeClock, settled } from '#tests/support/clock.ts'

const list = JSON.stringify({ object: 'list', data: [] })
const tags = JSON.stringify({ models: [] })

function answer(body: string, more: Partial<FoundAnswer> = {}): FoundAnswer {
  return { status: 200, headers: {}, body, ...more }
}

function setup(answers: Readonly<Record<string, FoundAnswer>>, own: { host: string; port: number } | null = null) {
  const clock = fakeClock()
  const network = new Map(Object.entries(answers))
  const asked: string[] = []
  const made = new Map(
    localPlaces().map(({ id, kind, baseUrl }) => [id, server(id, { kind, baseUrl, origin: 'discovery' })]),
  )
  const discovery = createDiscovery({
    clock,
    own: () => own,
    async get(url) {
      asked.push(url)
      return network.get(url.replace('http://127.0.0.1', '')) ?? null
    },
    toServer: ({ id }) => made.get(id) ?? server('none'),
  })
  async function look() {
    await discovery.start(localPlaces(), () => {})
    const { found, missing } = discovery.current()
    return { found: found.map(each => `${each.id} ${each.kind} ${each.baseUrl}`), missing }
  }
  async function why(name: string) {
    return (await look()).missing.find(each => each.name === name)?.why
  }
  return { clock, network, asked, discovery, look, why }
}

describe('discovery', () => {
  test('finds the servers that answer with a list of models', async () => {
    const { look } = setup({ ':11434/api/tags': answer(tags), ':1234/v1/models': answer(list) })

    expect((await look()).found).toEqual([
      'ollama ollama http://127.0.0.1:11434',
      'lm-studio openai_compatible http://127.0.0.1:1234',
    ])
  })

  test('says where it found nothing, and why', async () => {
    const { look } = setup({})

    expect((await look()).missing).toEqual([
      { name: 'Ollama', address: '127.0.0.1:11434', why: 'nothing listens on 127.0.0.1:11434' },
      { name: 'vLLM', address: '127.0.0.1:8000', why: 'nothing listens on 127.0.0.1:8000' },
      { name: 'llama.cpp', address: '127.0.0.1:8080', why: 'nothing listens on 127.0.0.1:8080' },
      { name: 'LM Studio', address: '127.0.0.1:1234', why: 'nothing listens on 127.0.0.1:1234' },
    ])
  })

  test.each<[string, FoundAnswer, string]>([
    ['asks for a key', answer('', { status: 401 }), 'asks for a key; name the server in the configuration'],
    ['refuses', answer('', { status: 403 }), 'asks for a key; name the server in the configuration'],
    ['has no such page', answer('', { status: 404 }), 'answered HTTP 404 to /v1/models'],
    ['is a web page', answer('<html>'), 'answered, but with no list of models'],
    ['is other JSON', answer('{"data":7}'), 'answered, but with no list of models'],
    [
      'is another gateway',
      answer(list, { headers: { 'x-citadel-gateway': '1.0.0' } }),
      'is another gateway like this one',
    ],
  ])('leaves alone what %s', async (_, found, reason) => {
    const { why } = setup({ ':8000/v1/models': found })

    expect(await why('vLLM')).toBe(`127.0.0.1:8000 ${reason}`)
  })

  test.each<[string, FoundAnswer]>([
    ['by a field', answer('{"status":"healthy","gateway":"unified-api-gateway"}')],
    ['by a header', answer('', { headers: { 'x-citadel-gateway': '1.0.0' } })],
  ])('leaves alone a gateway that names itself in its health %s', async (_, health) => {
    const { why } = setup({ ':8000/v1/models': answer(list), ':8000/health': health })

    expect(await why('vLLM')).toBe('127.0.0.1:8000 is another gateway like this one')
  })

  test('takes a server whose health is JSON of its own', async () => {
    const { look } = setup({ ':8000/v1/models': answer(list), ':8000/health': answer('{"status":"ok"}') })

    expect((await look()).found).toEqual(['vllm openai_compatible http://127.0.0.1:8000'])
  })

  test.each(['127.0.0.1', 'localhost', '0.0.0.0', '::'])('never asks itself (%s)', async host => {
    const { why, asked } = setup({ ':8000/v1/models': answer(list) }, { host, port: 8000 })

    expect(await why('vLLM')).toBe('127.0.0.1:8000 is where this gateway listens')
    expect(asked.some(url => url.includes(':8000'))).toBe(false)
  })

  test('looks again every 30 seconds and tells who has come', async () => {
    const { discovery, network, clock } = setup({})
    const heard: Discovered[] = []
    await discovery.start(localPlaces(), discovered => heard.push(discovered))
    network.set(':11434/api/tags', answer(tags))
    clock.advance(30_000)
    await settled()

    expect(heard.map(({ found }) => found.map(each => each.id))).toEqual([['ollama']])
    expect(discovery.current().found).toHaveLength(1)
  })

  test('tells who has gone when they are missing twice, and keeps the others as they are', async () => {
    const { discovery, network, clock } = setup({ ':11434/api/tags': answer(tags), ':8080/v1/models': answer(list) })
    const heard: Discovered[] = []
    await discovery.start(localPlaces(), discovered => heard.push(discovered))
    network.delete(':8080/v1/models')
    clock.advance(30_000)
    await settled()
    const once = heard.length
    clock.advance(30_000)
    await settled()

    expect(once).toBe(1)
    expect(heard.map(({ found }) => found.map(each => each.id))).toEqual([['ollama', 'llama-cpp'], ['ollama']])
    expect(heard[1]?.found[0]).toBe(heard[0]?.found[0] ?? server('none'))
  })

  test('keeps one that is missing now and then, never twice in a row', async () => {
    const { discovery, network, clock } = setup({ ':11434/api/tags': answer(tags) })
    const heard: Discovered[] = []
    await discovery.start(localPlaces(), discovered => heard.push(discovered))
    for (const there of [false, true, false, true]) {
      if (there) network.set(':11434/api/tags', answer(tags))
      else network.delete(':11434/api/tags')
      clock.advance(30_000)
      await settled()
    }

    expect(heard).toHaveLength(1)
  })

  test('looks elsewhere at once when it is told to, and keeps what it found where it still looks', async () => {
    const { discovery, network, clock } = setup({ ':11434/api/tags': answer(tags), ':1234/v1/models': answer(list) })
    await discovery.start(localPlaces(), () => {})
    const before = discovery.current().found.map(each => each.id)
    const heard: Discovered[] = []
    network.set(':7/api/tags', answer(tags))
    const looked = discovery.start(localPlaces('http://127.0.0.1:7'), discovered => heard.push(discovered))
    const meanwhile = discovery.current().found.map(each => each.id)
    await looked

    expect([before, meanwhile]).toEqual([['ollama', 'lm-studio'], ['lm-studio']])
    expect(heard.map(({ found }) => found.map(each => each.id))).toEqual([['lm-studio', 'ollama']])
    expect(clock.pending).toBe(1)
  })

  test('stops when it is stopped', async () => {
    const { discovery, clock, asked } = setup({})
    await discovery.start(localPlaces(), () => {})
    const before = asked.length
    discovery.stop()
    clock.advance(90_000)
    await settled()

    expect([asked.length, clock.pending]).toEqual([before, 0])
  })

  test('tells nothing of a look that was under way when it was stopped', async () => {
    const { discovery, clock } = setup({ ':11434/api/tags': answer(tags) })
    const heard: Discovered[] = []
    const looked = discovery.start(localPlaces(), discovered => heard.push(discovered))

    discovery.stop()
    await looked

    expect([heard, discovery.current().found, clock.pending]).toEqual([[], [], 0])
  })

  test('bears a network that throws', async () => {
    const clock = fakeClock()
    const discovery = createDiscovery({
      clock,
      own: () => null,
      get: () => Promise.reject(new Error('no network')),
      toServer: place => server(place.id),
    })

    await discovery.start(localPlaces('http://10.0.0.5:80'), () => {})

    expect(discovery.current().missing[0]?.why).toBe('nothing listens on 10.0.0.5:80')
  })
})
