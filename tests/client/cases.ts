import type * as Library from '#src/client/index.ts'

/** What a case is given: the built library, and the address that it calls. */
export interface At {
  readonly library: typeof Library
  readonly url: string
}

const body = { model: 'chat', messages: [{ role: 'user', content: 'Hi' }] }
const KEY = 'sk-of-the-application'

/** What the application does, the same in every runtime; each gives a value that JSON can carry. */
export const cases = {
  async plain(at) {
    const client = clientOf(at)
    const answer = await client.chat(body)
    return { text: answer.choices[0]?.message.content, info: client.info(answer), other: client.info({}) }
  },

  async stream(at) {
    const client = clientOf(at)
    const stream = await client.stream(body)
    return { text: await textOf(stream), info: client.info(stream), again: await failure(() => textOf(stream)) }
  },

  async completion(at) {
    const client = clientOf(at)
    const whole = await client.complete({ model: 'chat', prompt: 'Once' })
    let text = ''
    for await (const chunk of await client.streamCompletion({ model: 'chat', prompt: 'Once' })) {
      text += chunk.choices[0]?.text ?? ''
    }
    return { whole: whole.choices[0]?.text, text }
  },

  async embed(at) {
    const { data } = await clientOf(at).embed({ model: 'chat', input: ['one', 'two'] })
    return data.map(({ embedding }) => embedding)
  },

  async models(at) {
    const client = clientOf(at)
    const models = await client.models()
    const { requestID } = client.info(models) ?? {}
    return { ids: models.map(({ id }) => id), one: (await client.model('chat')).id, requestID }
  },

  async request(at) {
    const client = clientOf(at)
    const id = client.info(await client.chat(body))?.requestID ?? ''
    const { outcome, model, attempts } = await client.request(id)
    return { outcome, model, servers: attempts.map(({ server }) => server) }
  },

  async twice(at) {
    const client = clientOf(at)
    const answers = [await client.chat(body), await client.chat(body)]
    return answers.map(answer => answer.choices[0]?.message.content)
  },

  fail: at => failure(() => clientOf(at).chat(body)),
  failOnce: at => failure(() => clientOf(at, { maxRetries: 0 }).chat(body)),
  failOnceHere: at => failure(() => clientOf(at).chat(body, { maxRetries: 0 })),
  failInTime: at => failure(() => clientOf(at, { timeoutMs: 20_000 }).chat(body)),
  failImpatient: at => failure(() => clientOf(at, { maxWaitMs: 20_000 }).chat(body)),
  failWithPassword: at =>
    failure(() => clientOf(at, { baseUrl: at.url.replace('//', '//ann:letmein@'), maxRetries: 0 }).chat(body)),
  failStream: at => failure(() => clientOf(at).stream(body)),
  failModels: at => failure(() => clientOf(at).models()),
  unknownModel: at => failure(() => clientOf(at).chat({ ...body, model: 'chatt' })),
  async unbounded(at) {
    const client = clientOf(at, { timeoutMs: Infinity, idleTimeoutMs: Infinity, maxRetries: 0 })
    return failure(async () => [(await client.chat(body)).id, await textOf(await client.stream(body))])
  },

  /** By the `fetch` of another library, whose errors are its own. */
  lateElsewhere(at) {
    const fetch = (_: string, { signal }: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        signal?.addEventListener('abort', () => reject(new Error('aborted')))
      })
    return failure(() => clientOf(at, { timeoutMs: 150, maxRetries: 0, fetch }).chat(body))
  },

  late: at => failure(() => clientOf(at, { timeoutMs: 150 }).chat(body)),

  async broken(at) {
    let text = ''
    const failed = await failure(async () => {
      for await (const chunk of await clientOf(at, { idleTimeoutMs: 1500 }).stream(body)) text += deltaOf(chunk)
    })
    return { text, failed }
  },

  async slowReader(at) {
    let text = ''
    for await (const chunk of await clientOf(at, { idleTimeoutMs: 300 }).stream(body)) {
      text += deltaOf(chunk)
      await new Promise(resolve => setTimeout(resolve, 400))
    }
    return text
  },

  /** How many listeners the caller's signal has while a stream is read, and behind it and other calls. */
  async longLivedSignal(at) {
    const { signal } = new AbortController()
    const held = new Set<unknown>()
    Object.assign(signal, {
      addEventListener: (_: string, listener: unknown) => held.add(listener),
      removeEventListener: (_: string, listener: unknown) => held.delete(listener),
    })
    const client = clientOf(at)
    await client.chat(body, { signal })
    await failure(() => client.chat({ ...body, model: 'chatt' }, { signal }))
    const stream = await client.stream(body, { signal })
    const during = held.size
    await textOf(stream)
    return { during, after: held.size }
  },

  async abortWaiting(at) {
    const controller = new AbortController()
    const call = failure(() => clientOf(at).chat(body, { signal: controller.signal }))
    setTimeout(() => controller.abort('changed my mind'), 100)
    return call
  },

  abortedBefore: at => failure(() => clientOf(at).chat(body, { signal: AbortSignal.abort() })),

  async abortWhileRetrying(at) {
    const controller = new AbortController()
    const call = failure(() => clientOf(at).chat(body, { signal: controller.signal }))
    setTimeout(() => controller.abort(), 100)
    return call
  },

  async abortStream(at) {
    const stream = await clientOf(at).stream(body)
    return failure(async () => {
      for await (const chunk of stream) if (deltaOf(chunk) !== '') stream.abort()
    })
  },

  async abortUnread(at) {
    const stream = await clientOf(at).stream(body)
    stream.abort()
    return 'left'
  },

  async leave(at) {
    for await (const chunk of await clientOf(at).stream(body)) if (deltaOf(chunk) !== '') return deltaOf(chunk)
    return null
  },

  async dropIn(at) {
    const openai = at.library.asOpenAI(clientOf(at))
    const plain = await openai.chat.completions.create(body)
    const stream = await openai.chat.completions.create({ ...body, stream: true })
    const text = await textOf(stream)
    const { data } = await openai.embeddings.create({ model: 'chat', input: 'one' })
    const ids: string[] = []
    for await (const model of await openai.models.list()) ids.push(model.id)
    const failed = await failure(() => openai.chat.completions.create({ ...body, model: 'chatt' }))
    return { plain: plain.choices[0]?.message.content, text, vectors: data.length, ids, failed }
  },

  async dropInAbort(at) {
    const openai = at.library.asOpenAI(clientOf(at))
    const stream = await openai.chat.completions.create({ ...body, stream: true })
    let text = ''
    for await (const chunk of stream) {
      text += deltaOf(chunk)
      if (text !== '') stream.controller.abort()
    }
    return text
  },

  async dropInSignal(at) {
    const openai = at.library.asOpenAI(clientOf(at))
    const controller = new AbortController()
    const stream = await openai.chat.completions.create({ ...body, stream: true }, { signal: controller.signal })
    let text = ''
    for await (const chunk of stream) {
      text += deltaOf(chunk)
      if (text !== '') controller.abort()
    }
    return text
  },

  async ownHeaders(at) {
    const client = clientOf(at, { headers: { 'X-Team': 'a' } })
    const headers = { 'Idempotency-Key': 'mine', Authorization: `Bearer ${KEY}`, 'x-team': 'b' }
    await client.chat(body, { headers })
    await client.chat(body, { headers, idempotencyKey: 'given' })
    return null
  },

  async fallback(at) {
    const { migrate, migrationFromEnv } = at.library
    const events: string[] = []
    const ask = migrate(
      {
        gateway: () =>
          clientOf(at, { maxRetries: 0 })
            .chat(body)
            .then(() => 'gateway'),
        direct: async () => 'direct',
      },
      { settings: () => migrationFromEnv({ GATEWAY_ENABLED: 'true' }), report: ({ kind }) => events.push(kind) },
    )
    return { answer: await ask(), events }
  },
} satisfies Readonly<Record<string, (at: At) => Promise<unknown>>>

export type CaseName = keyof typeof cases

function clientOf({ library, url }: At, more: Partial<Library.ClientOptions> = {}): Library.Client {
  return library.createClient({ baseUrl: url, apiKey: KEY, ...more })
}

function deltaOf(chunk: Library.ChatChunk): string {
  return chunk.choices[0]?.delta.content ?? ''
}

async function textOf(stream: AsyncIterable<Library.ChatChunk>): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += deltaOf(chunk)
  return text
}

/** What an application can read of a failure. */
async function failure(call: () => Promise<unknown>): Promise<object> {
  const startedAt = Date.now()
  try {
    return { answered: await call() }
  } catch (thrown) {
    if (!(thrown instanceof Error)) return { thrown: String(thrown) }
    const { code, status, type, param, requestID, retryAfterMs, deliveredChars, attempts } = Object(thrown)
    const quick = Date.now() - startedAt < 10_000
    return {
      name: thrown.name,
      message: thrown.message,
      cause: String(thrown.cause),
      quick,
      code,
      status,
      type,
      param,
      requestID,
      retryAfterMs,
      deliveredChars,
      attempts,
    }
  }
}
