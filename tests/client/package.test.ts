import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test'
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import OpenAI from 'openai'
import { ERRORS } from '#core/errors.ts'
import { asOpenAI, createClient, GATEWAY_CODES, type OpenAIShape } from '#src/client/index.ts'
import { chatCompletion, openAiScript } from '#tests/support/openai-upstream.ts'
import { outcomeOf } from '#tests/support/output.ts'
import { json } from '#tests/support/upstream.ts'
import { gatewayOf } from './gateways.ts'
import { type Built, build } from './runtimes.ts'

setDefaultTimeout(30_000)

const ROOT = new URL('../../', import.meta.url).pathname
const BYTES_MAX = 10_000

let built: Built
beforeAll(async () => {
  built = await build()
  await install(built.folder)
})
afterAll(() => built[Symbol.asyncDispose]())

/** Lays the package out as it is installed, with what `build:client` wrote and what `exports` says. */
async function install(folder: string): Promise<void> {
  const home = join(folder, 'node_modules/citadel-gateway')
  await mkdir(join(home, 'dist/client'), { recursive: true })
  const { name, version, type, exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  await writeFile(join(home, 'package.json'), JSON.stringify({ name, version, type, exports }))
  for (const file of new Bun.Glob('*.{js,d.ts}').scanSync(folder))
    await cp(join(folder, file), join(home, 'dist/client', file))
  await cp(join(ROOT, 'config/examples/application'), join(folder, 'application'), { recursive: true })
}

async function run(command: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = built.folder) {
  const child = Bun.spawn([...command], {
    cwd,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return outcomeOf(child)
}

test('knows every code of the gateway and no other', () => {
  expect<string[]>([...GATEWAY_CODES]).toEqual(Object.keys(ERRORS))
})

test('is small, and needs nothing else', async () => {
  const { outputs } = await Bun.build({
    entrypoints: [join(ROOT, 'src/client/index.ts')],
    target: 'browser',
    minify: true,
  })
  const plain = await readFile(join(built.folder, 'index.js'), 'utf8')

  expect(outputs[0]?.size).toBeLessThan(BYTES_MAX)
  expect(plain).not.toMatch(/^import |require\(/m)
})

test('has types that a strict project reads, without those of Node or Bun', async () => {
  const code = `
import { asOpenAI, CitadelError, type ChatChunk, createClient, migrate, migrationFromEnv } from 'citadel-gateway/client'
const client = createClient({ baseUrl: 'http://localhost:8000', apiKey: null })
const answer = await client.chat({ messages: [{ role: 'user', content: 'Hi' }], temperature: 0 })
export const text: string | null | undefined = answer.choices[0]?.message.content
for await (const chunk of await client.stream({ messages: [] })) chunk satisfies ChatChunk
const stream = await asOpenAI(client).chat.completions.create({ messages: [], stream: true })
stream.controller.abort()
export const ask = migrate({ gateway: client.chat, direct: client.chat }, { settings: () => migrationFromEnv({}) })
export const wait = (error: unknown) => (error instanceof CitadelError && error.code === 'queue_full' ? error.retryAfterMs : null)
// @ts-expect-error: no such code
export const wrong = (error: CitadelError) => error.code === 'queue_ful'
`
  await writeFile(join(built.folder, 'consumer.ts'), code)
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2022,dom,dom.asynciterable',
    '--types',
    '',
  ]

  expect(await run([join(ROOT, 'node_modules/.bin/tsc'), ...options, 'consumer.ts'])).toEqual({
    output: '',
    errors: '',
    status: 0,
  })
})

test('is a package by itself once it is built, with the version of the gateway', async () => {
  const { version } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'))
  const home = join(built.application, 'node_modules/citadel-gateway')
  const code = "import { createClient } from 'citadel-gateway/client'; console.log(typeof createClient)"

  const own = JSON.parse(await readFile(join(home, 'package.json'), 'utf8'))
  const ran = await run(['node', '--input-type=module', '--eval', code], {}, built.application)

  expect(own).toMatchObject({ name: 'citadel-gateway', version })
  expect(own.dependencies).toBeUndefined()
  expect(ran).toEqual({ output: 'function\n', errors: '', status: 0 })
})

test('is what the package exports to Bun, too', async () => {
  const own: object = await import('citadel-gateway/client')

  expect(Object.keys(own).sort()).toEqual([
    'CitadelError',
    'GATEWAY_CODES',
    'asOpenAI',
    'createClient',
    'migrate',
    'migrationFromEnv',
  ])
})

test('reads a long event that comes in small pieces in the time that it takes to come', async () => {
  const piece = new TextEncoder().encode('x'.repeat(1024))
  let left = 16_384
  const body = new ReadableStream<Uint8Array>({
    start: controller => controller.enqueue(new TextEncoder().encode('data: "')),
    pull(controller) {
      if (left-- > 0) return controller.enqueue(piece)
      controller.enqueue(new TextEncoder().encode('"\n\ndata: [DONE]\n\n'))
      controller.close()
    },
  })
  const answer = new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  const client = createClient({ baseUrl: 'http://gateway', fetch: async () => answer })
  const startedAt = performance.now()

  const failed = await Array.fromAsync(await client.stream({ messages: [] })).catch(Object)

  // A text is no chunk; looked through again for each piece, it took half a minute to find that out.
  expect(failed.code).toBe('unexpected_answer')
  expect(performance.now() - startedAt).toBeLessThan(5000)
})

test('closes a stream that nobody reads yet when the signal of its call says so', async () => {
  const closed = Promise.withResolvers<void>()
  const body = new ReadableStream<Uint8Array>({ cancel: () => closed.resolve() })
  const answer = new Response(body, { headers: { 'content-type': 'text/event-stream' } })
  // Node forgets the signal of a request whose answer has begun; so does this one.
  const client = createClient({ baseUrl: 'http://gateway', fetch: async () => answer })
  const controller = new AbortController()

  const stream = await client.stream({ messages: [] }, { signal: controller.signal })
  controller.abort()
  await closed.promise

  expect((await Array.fromAsync(stream).catch(Object)).code).toBe('aborted')
})

test.each([
  ['/gateway', '/gateway/v1'],
  ['localhost:8000', 'localhost:8000/v1'],
  ['http://user:pass/word@host/v1/', 'http://host/v1'],
])('fails by its own error at an address that is none, or a path of the page: %s', async (baseUrl, said) => {
  const client = createClient({ baseUrl, fetch: () => Promise.reject(new TypeError('Failed to fetch')), maxRetries: 0 })

  expect(await client.models().catch(Object)).toMatchObject({
    code: 'connection_failed',
    message: `The gateway at ${said} did not answer.`,
  })
})

test('does for code of the openai package what that package does', async () => {
  await using gateway = await gatewayOf(openAiScript())
  const ways: readonly (OpenAI | OpenAIShape)[] = [
    new OpenAI({ baseURL: `${gateway.url}/v1`, apiKey: 'x', maxRetries: 0 }),
    asOpenAI(createClient({ baseUrl: `${gateway.url}/v1`, apiKey: 'x', maxRetries: 0 })),
  ]

  const [theirs, ours] = await Promise.all(ways.map(way => use(Object(way))))

  expect(ours).toEqual(theirs)
  expect(ours).toMatchObject({ text: 'Hello there!', failed: { status: 404, code: 'model_not_found' } })
})

/** An application that knows only the shape. */
async function use(openai: OpenAIShape): Promise<object> {
  const messages = [{ role: 'user', content: 'Hi' }]
  const plain = await openai.chat.completions.create({ model: 'chat', messages })
  const chunks: object[] = []
  let text = ''
  for await (const chunk of await openai.chat.completions.create({ model: 'chat', messages, stream: true })) {
    chunks.push(chunk)
    text += chunk.choices[0]?.delta.content ?? ''
  }
  const { data } = await openai.embeddings.create({ model: 'chat', input: 'one' })
  const models: string[] = []
  for await (const { id } of await openai.models.list()) models.push(id)
  const listed = (await openai.models.list()).data.length
  const one = await openai.models.retrieve('chat')
  const failed = await openai.chat.completions.create({ model: 'none', messages }).catch(fieldsOf)
  const controller = new AbortController()
  controller.abort()
  const left = await openai.chat.completions.create({ model: 'chat', messages }, { signal: controller.signal }).then(
    () => 'answered',
    () => 'thrown',
  )
  return { plain, chunks, text, data, models, listed, one, failed, left }
}

function fieldsOf(error: unknown): object {
  const { status, code, type, param, headers, requestID } = Object(error)
  return { status, code, type, param, headers: headers instanceof Headers, requestID: typeof requestID }
}

test('the example application moves over, falls back, and compares, in Node', async () => {
  const provider = { ...chatCompletion('m', { deltas: ['By the provider'] }) }
  await using direct = await gatewayOf(json(200, provider))
  await using gateway = await gatewayOf(openAiScript())
  await symlink(join(built.folder, 'node_modules'), join(built.folder, 'application/node_modules'))
  const ask = (env: Readonly<Record<string, string>>) =>
    run(['node', 'application/ask.mjs', 'Hi'], {
      CITADEL_URL: gateway.url,
      OPENAI_BASE_URL: `${direct.url}/v1`,
      OPENAI_API_KEY: 'sk-provider',
      MODEL: 'chat',
      ...env,
    })

  const answers = await Promise.all([
    ask({}),
    ask({ GATEWAY_ENABLED: 'false' }),
    ask({ GATEWAY_COMPARE_PERCENT: '100' }),
    ask({ CITADEL_URL: 'http://127.0.0.1:9' }),
    ask({ MODEL: 'nothing' }),
  ])

  expect(answers.map(({ output, status }) => [output.trim(), status])).toEqual([
    ['Hello there!', 0],
    ['By the provider', 0],
    ['Hello there!', 0],
    ['By the provider', 0],
    ['', 1],
  ])
  expect(answers.map(({ errors }) => errors.trim())).toEqual([
    '',
    '',
    expect.stringMatching(/^compared: different, gateway \d+ ms, direct \d+ ms$/),
    'fallback: connection_failed',
    expect.stringMatching(/^model_not_found: .* \(request [0-9a-f-]{36}\)$/),
  ])
})
