import { describe, expect, test } from 'bun:test'
import { configOf, startGateway, startModelServer, type Tree } from '#tests/support/gateway.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { until } from '#tests/support/until.ts'
import { gate, hang, json, type RecordedRequest, type Script, type Steps } from '#tests/support/upstream.ts'
import { usagePage } from '#wire/usage-report.ts'

const ADMIN = 'gw-admin-0123456789abcdef'

type UsageLine = ReturnType<typeof usagePage.parse>['data'][number]

interface Answer {
  readonly data: readonly { readonly index: number; readonly embedding: readonly number[] | string }[]
  readonly usage: { readonly prompt_tokens: number }
}

const inputsIn = (request: RecordedRequest) => {
  const { input } = request.json() as { readonly input: string | readonly string[] }
  return typeof input === 'string' ? [input] : input
}
/** A vector that tells its input: the length, and the first letter. */
const vectorOf = (input: string) => [input.length, input.charCodeAt(0)]

/** Answers each input with its own vector, one token a character. */
const embedder = (request: RecordedRequest): Steps => {
  const inputs = inputsIn(request)
  const base64 = (request.json() as { readonly encoding_format?: string }).encoding_format === 'base64'
  const tokens = inputs.join('').length
  const data = inputs.map((input, index) => {
    const vector = vectorOf(input)
    const embedding = base64 ? Buffer.from(Float32Array.from(vector).buffer).toString('base64') : vector
    return { object: 'embedding', index, embedding }
  })
  const usage = { prompt_tokens: tokens, total_tokens: tokens }
  return json(200, { object: 'list', data, model: 'test-model', usage })
}

async function caching(script: Script = embedder, more: Tree = {}) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], { cache: { enabled: true }, ...more }))
  const embed = async (input: unknown, rest: object = {}) => {
    const body = JSON.stringify({ model: 'chat', input, ...rest })
    const response = await fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body })
    const answer = (await response.json()) as Answer
    return {
      status: response.headers.get('x-citadel-cache'),
      id: response.headers.get('x-request-id'),
      answer,
      vectors: answer.data.map(({ embedding }) => embedding),
      indexes: answer.data.map(({ index }) => index),
    }
  }
  return {
    server,
    gateway,
    embed,
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

describe('a batch of embeddings', () => {
  test('asks only for what is missing, and gives all in order', async () => {
    await using setup = await caching()
    const { embed, server } = setup
    await embed(['one', 'three'])

    const mixed = await embed(['two!', 'three', 'one', 'four-four'])
    const all = await embed(['four-four', 'one', 'two!', 'three'])

    expect(server.calls.map(inputsIn)).toEqual([
      ['one', 'three'],
      ['two!', 'four-four'],
    ])
    expect(mixed.status).toBe('miss')
    expect(mixed.vectors).toEqual(['two!', 'three', 'one', 'four-four'].map(vectorOf))
    expect(mixed.indexes).toEqual([0, 1, 2, 3])
    expect(all.status).toBe('hit')
    expect(all.vectors).toEqual(['four-four', 'one', 'two!', 'three'].map(vectorOf))
  })

  test('needs of the limits what is missing, and nothing for what is stored', async () => {
    const limits = { enabled: true, per_client: { requests_per_minute: 0, tokens_per_hour: 1000 } }
    await using setup = await caching(embedder, { limits })
    const { embed, server } = setup
    const long = 'x'.repeat(900)
    await embed(long)

    expect((await embed([long, 'two!'])).vectors).toEqual([long, 'two!'].map(vectorOf))
    expect(server.calls).toHaveLength(2)
  })

  test('counts all its tokens for the caller, and only the new ones as used', async () => {
    await using setup = await caching()
    const { embed, gateway } = setup
    await embed(['one', 'three'])
    const mixed = await embed(['three', 'four'])
    const report = await (await fetch(`${gateway.url}/v1/requests/${mixed.id}`)).json()
    const metrics = await (await fetch(`${gateway.url}/metrics`)).text()

    expect(mixed.answer.usage.prompt_tokens).toBe(9)
    expect(report.usage.input).toBe(4)
    expect(metrics).toContain('gateway_saved_tokens_total{model="chat"} 5')
  })

  test('saves the tokens that were stored, and the price of a request only when none was made', async () => {
    const price = { input: 2, request: 0.5 }
    await using setup = await caching(embedder, {
      models: { chat: { targets: [{ server: 'a', model: 'test-model', price }] } },
    })
    const { embed, gateway } = setup
    await embed(['one', 'three'])
    const answers = [await embed(['three', 'four']), await embed(['three', 'four'])]
    const reports = answers.map(async ({ id }) => (await fetch(`${gateway.url}/v1/requests/${id}`)).json())
    const [part, whole] = await Promise.all(reports)

    expect([part.saved_tokens, part.saved_usd, part.cost_usd]).toEqual([5, 0.00001, 0.500008])
    expect([whole.saved_tokens, whole.saved_usd, whole.cost_usd]).toEqual([9, 0.500018, 0])
  })

  test('is paid for what was asked for, also where the server does not count', async () => {
    const uncounted: Script = request => {
      const data = inputsIn(request).map((input, index) => ({ object: 'embedding', index, embedding: vectorOf(input) }))
      return json(200, { object: 'list', data, model: 'test-model' })
    }
    await using setup = await caching(uncounted)
    const { embed, gateway } = setup
    const long = 'x'.repeat(3600)
    const answers = [await embed([long]), await embed([long, 'y']), await embed([long, 'y'])]
    const reports = answers.map(async ({ id }) => (await fetch(`${gateway.url}/v1/requests/${id}`)).json())
    const [first, part, stored] = await Promise.all(reports)

    expect([first.usage.input, part.usage.input]).toEqual([1000, 1])
    expect([part.saved_tokens, stored.saved_tokens]).toEqual([1000, 1001])
    expect(answers.slice(1).map(({ answer }) => answer.usage.prompt_tokens)).toEqual([1001, 1001])
    expect(stored.usage.estimated).toBe(true)
  })

  test('is paid for what was asked for, also by who leaves before it is answered', async () => {
    const long = 'x'.repeat(3600)
    await using setup = await caching(request => (request.index === 0 ? embedder(request) : hang()))
    const { embed, gateway, server } = setup
    await embed([long])
    const leaving = new AbortController()
    const body = JSON.stringify({ model: 'chat', input: [long, 'y'] })
    const left = fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body, signal: leaving.signal })
    await server.called(2)

    leaving.abort()
    await left.catch(() => {})

    expect(await gateway.logged({ outcome: 'cancelled' })).toMatchObject({ tokens_in: 1 })
  })

  test('asks once for what it names twice', async () => {
    await using setup = await caching()
    const { embed, server } = setup
    const { vectors } = await embed(['a', 'bb', 'a'])

    expect(server.calls.map(inputsIn)).toEqual([['a', 'bb']])
    expect(vectors).toEqual(['a', 'bb', 'a'].map(vectorOf))
  })

  test('counts once what it names twice, stored or not', async () => {
    await using setup = await caching()
    const { embed, gateway } = setup
    const twice = ['one', 'one', 'three']

    const answers = [await embed(twice), await embed(twice), await embed([...twice, 'new'])]
    const reports = await Promise.all(
      answers.map(async ({ id }) => (await fetch(`${gateway.url}/v1/requests/${id}`)).json()),
    )

    expect(answers.map(({ answer }) => answer.usage.prompt_tokens)).toEqual([8, 8, 11])
    expect(reports.map(({ saved_tokens }) => saved_tokens)).toEqual([0, 8, 8])
  })

  test('with a member that occurs twice below the top is passed on as it is', async () => {
    await using setup = await caching(() =>
      json(200, {
        object: 'list',
        data: [{ object: 'embedding', index: 0, embedding: [1] }],
        model: 'test-model',
        usage: { prompt_tokens: 1, total_tokens: 1 },
      }),
    )
    const { gateway, server } = setup
    const send = (input: string) =>
      fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body: `{"model":"chat","input":[${input}]}` })
    await (await send('{"text":"a","text":"b"}')).text()

    const after = await send('{"text":"b"}')

    expect(after.headers.get('x-citadel-cache')).toBe('miss')
    expect(server.calls).toHaveLength(2)
  })

  test('of very many inputs is passed on as it is', async () => {
    await using setup = await caching()
    const { embed, server } = setup
    const inputs = Array.from({ length: 2049 }, (_, at) => `text ${at}`)

    const statuses = [(await embed(inputs)).status, (await embed(inputs)).status]
    const fewer = [(await embed(inputs.slice(1))).status, (await embed(inputs.slice(1))).status]

    expect([statuses, fewer]).toEqual([
      ['bypass', 'bypass'],
      ['miss', 'hit'],
    ])
    expect(server.calls).toHaveLength(3)
  })

  test('is read once, however many inputs it has beside something long', async () => {
    await using setup = await caching()
    const { embed } = setup
    const inputs = Array.from({ length: 2048 }, (_, at) => `text ${at}`)
    const since = performance.now()
    await embed(inputs, { more: 'x'.repeat(4_000_000) })

    // Read once for each input it took six seconds, and read once a tenth of one.
    expect(performance.now() - since).toBeLessThan(1500)
  })

  test('and a single text share what is stored', async () => {
    await using setup = await caching()
    const { embed, server } = setup
    await embed('one')
    const { status, vectors } = await embed(['one'])

    expect([status, server.calls.length]).toEqual(['hit', 1])
    expect(vectors).toEqual([vectorOf('one')])
  })

  test('is another one in another encoding, size or with an unknown field', async () => {
    await using setup = await caching()
    const { embed, server } = setup
    const forms = [{}, { encoding_format: 'base64' }, { dimensions: 2 }, { task: 'query' }]
    for (const form of forms) await embed('one', form)
    const again = await embed('one', { encoding_format: 'base64' })

    expect(server.calls).toHaveLength(forms.length)
    expect(again.vectors).toEqual([Buffer.from(Float32Array.from(vectorOf('one')).buffer).toString('base64')])
  })

  test('of token lists is told apart from a list of tokens', async () => {
    const tokens: Script = request => {
      const { input } = request.json() as { readonly input: readonly unknown[] }
      const lists = Array.isArray(input[0]) ? input : [input]
      const data = lists.map((list, index) => ({ object: 'embedding', index, embedding: list }))
      return json(200, { object: 'list', data, model: 'test-model', usage: { prompt_tokens: 1, total_tokens: 1 } })
    }
    await using setup = await caching(tokens)
    const { embed } = setup
    await embed([1, 2])

    expect(await embed([[1, 2]])).toMatchObject({ status: 'hit', vectors: [[1, 2]] })
    expect(await embed([[1], [2]])).toMatchObject({ status: 'miss', vectors: [[1], [2]] })
  })

  describe('of which one model stored a part', () => {
    const servers = async (down: () => boolean) => {
      const own = await startModelServer(request =>
        down() ? json(500, { error: { message: 'down' } }) : embedder(request),
      )
      const other = await startModelServer(request => {
        const data = inputsIn(request).map((_, index) => ({ object: 'embedding', index, embedding: [1, 2, 3] }))
        return json(200, { object: 'list', data, model: 'm', usage: { prompt_tokens: 2, total_tokens: 2 } })
      })
      return [own, other] as const
    }
    const models = (more: Tree) => ({
      chat: { class: 'embedding', targets: [{ server: 'a', model: 'own' }], ...more },
      spare: { class: 'embedding', targets: [{ server: 'b', model: 'other', price: { input: 1_000_000 } }] },
    })
    const vectorsIn = async (response: Response) =>
      ((await response.json()) as Answer).data.map(({ embedding }) => embedding)

    test('comes whole from the fallback that answers the rest, and is charged once', async () => {
      let down = false
      const [own, other] = await servers(() => down)
      const config = configOf([own, other], { cache: { enabled: true }, models: models({ fallbacks: ['spare'] }) })
      await using gateway = await startGateway({ ...config, retry: { backoff_base: '1ms' } })
      const embed = (input: readonly string[]) =>
        fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ model: 'chat', input }) })
      await (await embed(['one'])).text()
      down = true

      const mixed = await embed(['one', 'two', 'two'])
      const id = mixed.headers.get('x-request-id')
      down = false

      expect(await vectorsIn(mixed)).toEqual([1, 2, 3].map(() => [1, 2, 3]))
      expect(other.calls.map(inputsIn)).toEqual([['two'], ['one', 'two', 'two']])
      await gateway.logged({ request_id: id })
      const told = await fetch(`${gateway.url}/v1/requests/${id}`)
      expect(await told.json()).toMatchObject({ model: 'spare', usage: { input: 2 }, cost_usd: 2, saved_tokens: 0 })
      expect(await vectorsIn(await embed(['one', 'two']))).toEqual(['one', 'two'].map(vectorOf))
      await own.close()
      await other.close()
    })

    test.each([true, false])('has what was set aside of it as the cost of the operator, counted: %p', async counted => {
      let down = false
      const own = await startModelServer(request =>
        down ? json(500, { error: { message: 'down' } }) : embedder(request),
      )
      const other = await startModelServer(request => {
        const data = inputsIn(request).map((_, index) => ({ object: 'embedding', index, embedding: [1, 2, 3] }))
        const usage = counted ? { usage: { prompt_tokens: 1, total_tokens: 1 } } : {}
        return json(200, { object: 'list', data, model: 'm', ...usage })
      })
      const folder = await ownFolder('citadel-vectors-')
      const config = configOf([own, other], { cache: { enabled: true }, models: models({ fallbacks: ['spare'] }) })
      const more = { service: { data_dir: folder.path }, auth: { admin_keys: [ADMIN] }, retry: { backoff_base: '1ms' } }
      await using gateway = await startGateway({ ...config, ...more })
      const headers = { authorization: `Bearer ${ADMIN}` }
      const embed = async (...input: readonly string[]) => {
        const body = JSON.stringify({ model: 'chat', input })
        return await (await fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body, headers })).text()
      }
      await embed('one')
      down = true
      await embed('one', 'two')

      let line: UsageLine | undefined
      await until('the row', 10_000, async () => {
        const response = await fetch(`${gateway.url}/management/usage?by=model`, { headers })
        line = usagePage.parse(await response.json()).data.find(({ model }) => model === 'spare')
        return line !== undefined
      })

      // "two" was asked for alone, and then with "one"; where nobody counts, each is one token.
      expect(line).toMatchObject({ extra_cost_usd: 1 })
      await folder.remove()
      await own.close()
      await other.close()
    })

    test('is not stored where the gateway chooses among several models', async () => {
      const [own, other] = await servers(() => false)
      const config = configOf([own, other], { cache: { enabled: true }, models: models({}) })
      await using gateway = await startGateway({ ...config, gateway: { intelligent_routing: true } })
      const embed = (input: readonly string[]) =>
        fetch(`${gateway.url}/v1/embeddings`, { method: 'POST', body: JSON.stringify({ input }) })
      for (const input of ['one', 'two', 'four']) await (await embed([input])).text()

      const batch = await embed(['one', 'two', 'four'])

      expect(batch.headers.get('x-citadel-cache')).toBe('bypass')
      expect(new Set((await vectorsIn(batch)).map(({ length }) => length)).size).toBe(1)
      await own.close()
      await other.close()
    })
  })

  test('shares what is being asked for', async () => {
    const answer = gate()
    await using setup = await caching(request => [answer, embedder(request)])
    const { embed, server } = setup
    const first = embed(['one', 'two'])
    await server.called(1)
    const second = embed(['one', 'two'])
    // The second one is on its way when a third, with another body, has reached the server.
    const other = embed(['else'])
    await server.called(2)
    answer.open()

    const all = await Promise.all([first, second, other])
    expect(all.map(({ status }) => status)).toEqual(['miss', 'coalesced', 'miss'])
    expect(server.calls).toHaveLength(2)
    expect(all[1]?.vectors).toEqual(['one', 'two'].map(vectorOf))
  })
})
