import { Database } from 'bun:sqlite'
import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { rename, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { VERSION } from '#src/version.ts'
import { ollamaStream, ollamaTags } from '#tests/support/ollama-upstream.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { freePort, isRefused } from '#tests/support/server-process.ts'
import { type Gate, gate, hang, json, sse, startUpstream } from '#tests/support/upstream.ts'
import { run, type Started, start } from './child.ts'

setDefaultTimeout(20_000)

const DEMO = 'gateway: { discover: false, demo: true }\n'
const QUESTION = { messages: [{ role: 'user', content: 'Hi' }] }

function ask(url: string, model: string, body: object = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, { method: 'POST', body: JSON.stringify({ model, ...QUESTION, ...body }) })
}

async function modelsOf(url: string): Promise<string[]> {
  const list = (await (await fetch(`${url}/v1/models`)).json()) as { readonly data: readonly { readonly id: string }[] }
  return list.data.map(({ id }) => id)
}

/** Resolves when the condition holds; only for what a process tells nobody about. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds())) await Bun.sleep(10)
}

const statusOf = (url: string) => fetch(url).then(({ status }) => status)

/** Takes a port for as long as the test needs it. */
async function takenPort(): Promise<{ readonly port: number; readonly server: Server } & AsyncDisposable> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { port, server, [Symbol.asyncDispose]: () => new Promise(resolve => server.close(() => resolve())) }
}

/** An upstream whose streams stop in the middle until the gate is opened. */
function heldUpstream(hold: Gate) {
  const usual = openAiScript()
  return startUpstream(request => {
    if (!request.path.endsWith('/chat/completions')) return typeof usual === 'function' ? usual(request) : usual
    const [first = '', second = '', ...rest] = chatEvents('m')
    return sse([first, second, hold, ...rest])
  })
}

/** A stream that has begun: what came, and how it goes on. */
async function begun(url: string, model = 'held') {
  const response = await ask(url, model, { stream: true })
  const reader = (response.body ?? new ReadableStream<Uint8Array>()).getReader()
  const decoder = new TextDecoder()
  let text = ''
  while (!text.includes('Hello')) {
    const { done, value } = await reader.read()
    if (done) throw new Error(`the stream ended early: ${text}`)
    text += decoder.decode(value, { stream: true })
  }
  return {
    async rest(): Promise<string> {
      for (let read = await reader.read(); !read.done; read = await reader.read()) text += decoder.decode(read.value)
      return text
    },
  }
}

const held = (upstream: string, more = '') =>
  `gateway: { discover: false }\nmodels:\n  held: { endpoint: "${upstream}" }\n${more}`

describe('start', () => {
  test('says what runs where, and what to type next, and both work', async () => {
    await using child = await start(DEMO)

    const said = child.err()
    expect(said).toMatch(
      new RegExp(`^citadel-gateway ${VERSION} listens on http://127\\.0\\.0\\.1:\\d+ {2}\\(ready in \\d+ ms, Bun`),
    )
    expect(said).toContain('citadel-demo is offered')
    expect(said).toContain('config   gateway.yaml')
    console.info(`start: ${/ready in \d+ ms/.exec(said)?.[0]}`)
    const [, docs = ''] = /docs +(http\S+)/.exec(said) ?? []
    expect(await statusOf(docs)).toBe(200)
    const [, curl = ''] = /try +(curl .+)/.exec(said) ?? []
    const answer = await new Response(Bun.spawn(['sh', '-c', curl], { stderr: 'ignore' }).stdout).text()
    expect(answer).toStartWith('data: {')
    expect(answer).toEndWith('data: [DONE]\n\n')
  })

  test.each([
    ['service: { host: 127.0.0.2 }', 'http://127.0.0.2:'],
    ['service: { host: 0.0.0.0 }', 'http://localhost:'],
    ['auth: { keys: [{ name: a, key: sk-of-somebody }] }', 'http://localhost:'],
  ])('names an address that answers, with %s', async (line, address) => {
    await using child = await start(`${DEMO}${line}\n`)

    const [, docs = ''] = /docs +(http\S+)/.exec(child.err()) ?? []
    const [, curl = ''] = /try +(curl .+)/.exec(child.err()) ?? []
    const shell = Bun.spawn(['sh', '-c', curl.replace('YOUR-KEY', 'sk-of-somebody')], { stderr: 'ignore' })

    expect(docs).toStartWith(address)
    expect(await statusOf(docs)).toBe(200)
    expect(await new Response(shell.stdout).text()).toEndWith('data: [DONE]\n\n')
  })

  test('says only log lines on standard output', async () => {
    await using child = await start(DEMO)
    await fetch(`${child.url}/v1/models`)
    await child.said(/"path":"\/v1\/models"/, 'out')

    for (const line of child.out().trim().split('\n')) expect(JSON.parse(line)).toHaveProperty('level')
  })

  test('does not say that nothing listens where it listens itself', async () => {
    const port = await freePort()
    const text = 'gateway: { discover: true, demo: true }\n'
    await using child = await start(text, { OLLAMA_HOST: `127.0.0.1:${port}` }, ['--port', `${port}`])

    expect(child.err()).toContain(`Ollama: 127.0.0.1:${port} is where this gateway listens`)
  })

  test('is no error, and is not coloured as one', async () => {
    await using one = await start(DEMO, { FORCE_COLOR: '1' })
    await using two = await start(`${DEMO}service: { workers: 2 }\n`, { FORCE_COLOR: '1' })

    for (const child of [one, two]) {
      await child.said(/This key opens \/management/)
      expect(child.err()).not.toContain('\u001b')
    }
  })

  test('warns where everybody can reach it and no key is needed', async () => {
    await using open = await start(`${DEMO}service: { host: 0.0.0.0 }\n`)
    await using closed = await start(`${DEMO}service: { host: 0.0.0.0 }\nauth: { admin_keys: [sk-of-the-admin] }\n`)

    expect(open.err()).toContain('WARNING')
    expect(closed.err()).not.toContain('WARNING')
  })

  test('names what the file asks for in vain', async () => {
    await using child = await start(`${DEMO}service: { max_connections: 5 }\n`)

    expect(child.err()).toContain('service.max_connections: no effect yet')
  })

  test('on a port that is taken ends with 69 and names the next one that is free', async () => {
    await using taken = await takenPort()
    await using child = await run(['start', '--port', String(taken.port)], { files: { 'gateway.yaml': DEMO } })

    expect(await child.exited).toBe(69)
    expect(child.err()).toContain(`port ${taken.port} is already in use`)
    const [, next = '0'] = /(\d+) is free: start again with --port \1/.exec(child.err()) ?? []
    expect(Number(next)).toBeGreaterThan(taken.port)
  })

  test.each([
    ['a port that is taken', 69, (port: number) => `service: { port: ${port} }`],
    ['certificates that are not there', 78, () => 'service: { port: 0, tls: { cert_file: no.pem, key_file: no.key } }'],
  ])('with %s ends, though it has connections to servers already', async (_, status, service) => {
    await using other = await start(DEMO)
    const servers = `servers: [{ id: other, kind: openai_compatible, base_url: "${other.url}" }]`
    const text = `gateway: { discover: false }\n${servers}\n${service(Number(new URL(other.url).port))}\n`
    await using child = await run(['start', '--config', 'gateway.yaml'], { files: { 'gateway.yaml': text } })

    expect(await child.exited).toBe(status)
  })

  test('with a configuration that is wrong ends with 78 and says all of it', async () => {
    const text = 'service:\n  prot: 1\nmodels:\n  a: { endpoint: nowhere }\n'
    await using child = await run(['start', '--config', 'broken.yaml'], { files: { 'broken.yaml': text } })

    expect(await child.exited).toBe(78)
    expect(child.err()).toContain('broken.yaml:2:3  service.prot: unknown key, did you mean "port"?')
    expect(child.err()).toMatch(/broken\.yaml:4:\d+ {2}models\.a\.endpoint: /)
    expect(child.out()).toBe('')
  })

  test.each([
    ['BUN_CONFIG_VERBOSE_FETCH', 'curl'],
    ['NODE_TLS_REJECT_UNAUTHORIZED', '0'],
  ])('refuses %s=%s', async (name, value) => {
    await using child = await run(['start', '--port', '0'], { env: { [name]: value } })

    expect(await child.exited).toBe(78)
    expect(child.err()).toContain(name)
  })

  test('reads an environment file, under the real environment and over nothing', async () => {
    const files = {
      'gateway.yaml': `${DEMO}auth: { keys: [{ name: a, key: "\${APP_KEY}" }] }\n`,
      'one.env': 'APP_KEY=sk-from-one\nDEFAULT_MODEL=citadel-demo\n',
      'two.env': 'export APP_KEY="sk-from-two"\n',
    }
    const args = ['start', '--port', '0', '--config', 'gateway.yaml', '--env-file', 'one.env', '--env-file', 'two.env']
    await using child = await run(args, { files })
    await using over = await run(args, { files, env: { APP_KEY: 'sk-from-outside' } })

    for (const [each, key] of [
      [child, 'sk-from-two'],
      [over, 'sk-from-outside'],
    ] as const) {
      const [, url = ''] = await each.said(/listens on (http:\S+)/)
      const { status } = await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })
      expect(status).toBe(200)
    }
  })
})

describe('other commands', () => {
  test('version', async () => {
    for (const args of [['version'], ['--version'], ['-v']]) {
      await using child = await run(args)

      expect(await child.exited).toBe(0)
      expect(child.out()).toBe(`citadel-gateway ${VERSION} (Bun ${Bun.version})\n`)
    }
  })

  test('help names every command', async () => {
    for (const args of [[], ['help'], ['--help']]) {
      await using child = await run(args)

      expect(await child.exited).toBe(0)
      for (const name of ['start', 'check', 'config', 'version']) expect(child.out()).toContain(`  ${name} `)
    }
  })

  test.each([
    [['strat']],
    [['start', '--prot', '1']],
    [['check', '--wrong']],
    [['config']],
    [['config', 'scheme']],
    [['__proto__']],
    [['constructor']],
  ])('%j is wrong usage: 64', async args => {
    await using child = await run(args)

    expect(await child.exited).toBe(64)
    expect(child.err()).toStartWith('citadel: ')
    expect(child.err()).not.toContain('    at ')
  })

  test('config schema prints a JSON Schema', async () => {
    await using child = await run(['config', 'schema'])

    expect(await child.exited).toBe(0)
    const schema = JSON.parse(child.out())
    expect(schema.$schema).toContain('json-schema.org')
    expect(schema.properties.service.properties.port.default).toBe(8000)
  })

  test('check tells a good file with 0', async () => {
    await using child = await run(['check', 'gateway.yaml'], {
      files: { 'gateway.yaml': `${DEMO}service: { max_connections: 5 }\n` },
    })

    expect(await child.exited).toBe(0)
    expect(child.out()).toStartWith('ok  gateway.yaml: 0 servers, 0 models')
    expect(child.err()).toMatch(/warning .*service\.max_connections: no effect yet/)
  })

  test('check tells every problem of a bad file with its place, and 78', async () => {
    const text = 'gatewy: {}\nlimits:\n  global: { burst: -1 }\nload_balancer: { algorithm: fastest }\nmodels: [a]\n'
    await using child = await run(['check', 'gateway.yaml'], { files: { 'gateway.yaml': text } })

    expect(await child.exited).toBe(78)
    const lines = child.err().trim().split('\n')
    expect(lines.slice(0, -1).map(line => /^gateway\.yaml:(\d+:\d+) {2}([\w.]+): /.exec(line)?.slice(1))).toEqual([
      ['1:1', 'gatewy'],
      ['3:20', 'limits.global.burst'],
      ['4:29', 'load_balancer.algorithm'],
      ['5:9', 'models'],
    ])
    expect(lines.at(-1)).toBe('4 problems; nothing was started.')
  })

  test.each(['missing.yaml', '.'])('check of %s, which is no file, is 78', async name => {
    await using child = await run(['check', name])

    expect(await child.exited).toBe(78)
    expect(child.err()).toContain(name)
  })
})

describe('SIGTERM', () => {
  test('ends readiness at once, serves during the delay, lets streams finish, and ends with 0', async () => {
    const hold = gate()
    await using upstream = await heldUpstream(hold)
    await using child = await start(held(upstream.url, 'service: { drain_delay: 300ms, drain_timeout: 10s }\n'))
    const stream = await begun(child.url)

    child.kill('SIGTERM')
    await until(async () => (await statusOf(`${child.url}/readyz`)) === 503)
    const during = await statusOf(`${child.url}/v1/models`)
    await until(() => isRefused(`${child.url}/livez`))
    hold.open()

    expect(during).toBe(200)
    expect(await stream.rest()).toEndWith('data: [DONE]\n\n')
    expect(await child.exited).toBe(0)
    expect(child.out()).toContain('"route":"/v1/chat/completions","status":200')
    expect(child.out()).toContain(`"message":"started","version":"${VERSION}","url":"${child.url}"`)
    expect(child.out()).toMatch(/"message":"stopping; [^"]*","running":1/)
    expect(child.out().trimEnd().split('\n').at(-1)).toContain('"message":"stopped"')
    expect(child.out()).not.toContain('ended before')
  })

  test('tells a stream that outlasts the drain why it ends', async () => {
    const hold = gate()
    await using upstream = await heldUpstream(hold)
    await using child = await start(held(upstream.url, 'service: { drain_delay: 0, drain_timeout: 200ms }\n'))
    const stream = await begun(child.url)

    child.kill('SIGTERM')

    const text = await stream.rest()
    const last = text.trimEnd().split('\n\n').at(-1) ?? ''
    expect(JSON.parse(last.replace('data: ', '')).error).toMatchObject({
      code: 'server_shutting_down',
      delivered_chars: 5,
    })
    expect(text).not.toContain('[DONE]')
    expect(await child.exited).toBe(0)
    expect(child.out()).toContain('"message":"requests were ended before they were answered","count":1')
  })

  test('a second time skips the waiting', async () => {
    const hold = gate()
    await using upstream = await heldUpstream(hold)
    await using child = await start(held(upstream.url, 'service: { drain_delay: 60s, drain_timeout: 60s }\n'))
    const stream = await begun(child.url)
    child.kill('SIGTERM')
    await until(async () => (await statusOf(`${child.url}/readyz`)) === 503)

    child.kill('SIGTERM')

    expect(await stream.rest()).toContain('server_shutting_down')
    expect(await child.exited).toBe(0)
  })

  test('writes down what was answered, however long a webhook keeps its answer', async () => {
    const hold = gate()
    hold.open()
    await using upstream = await heldUpstream(hold)
    await using receiver = await startUpstream(() => [hang()])
    const key = 'admin-key-of-this-test-alone'
    const more = `service: { drain_delay: 0, data_dir: data }
auth: { mode: none, admin_keys: ["${key}"] }
orchestration: { allowed_addresses: [127.0.0.0/8] }
webhooks: { deliver: [{ url: "${receiver.url}" }] }
servers: [{ id: spare, kind: openai_compatible, base_url: "${upstream.url}" }]
`
    await using child = await start(held(upstream.url, more))
    const headers = { authorization: `Bearer ${key}` }
    await fetch(`${child.url}/orchestration/failover/spare`, { method: 'POST', headers })
    await until(async () => receiver.requests.length === 1)
    await (await begun(child.url)).rest()

    child.kill('SIGTERM')

    expect(await child.exited).toBe(0)
    expect(child.out().trimEnd().split('\n').at(-1)).toContain('"message":"stopped"')
    using database = new Database(join(child.folder, 'data', 'citadel.db'))
    expect(database.query('SELECT outcome FROM requests').values()).toEqual([['ok']])
  })
})

test('SIGINT stops at once when nothing runs', async () => {
  await using child = await start(`${DEMO}service: { drain_delay: 60s, drain_timeout: 60s }\n`)
  await fetch(`${child.url}/v1/models`)

  child.kill('SIGINT')

  expect(await child.exited).toBe(0)
})

describe('reload', () => {
  const write = (child: Started, text: string) => writeFile(join(child.folder, 'gateway.yaml'), text)
  const reloaded = (child: Started) => child.said(/"message":"configuration reloaded"/, 'out')

  test('on SIGHUP', async () => {
    await using child = await start(DEMO)

    child.kill('SIGHUP')

    await reloaded(child)
    expect(await modelsOf(child.url)).toEqual(['citadel-demo'])
  })

  test.each(['', 'service: { workers: 2 }\n'])(
    'on SIGUSR2 too, and SIGUSR1 does nothing: neither ends a gateway (%j)',
    async more => {
      await using child = await start(`${DEMO}${more}`)

      child.kill('SIGUSR1')
      child.kill('SIGUSR2')

      await reloaded(child)
      expect(await modelsOf(child.url)).toEqual(['citadel-demo'])
    },
  )

  test('by the management, which says what is wrong', async () => {
    await using child = await start(`${DEMO}auth: { mode: none, admin_keys: [sk-of-an-admin] }\n`)
    const ask = async () => {
      const headers = { authorization: 'Bearer sk-of-an-admin' }
      const answer = await fetch(`${child.url}/management/config/reload`, { method: 'POST', headers })
      return { status: answer.status, text: await answer.text() }
    }

    const good = await ask()
    await write(child, `${DEMO}models: { first: { endpont: x } }\n`)
    const bad = await ask()

    expect(good).toEqual({ status: 200, text: '{"reloaded":true,"warnings":[],"restart":[]}' })
    expect(bad.status).toBe(400)
    expect(bad.text).toContain('endpont')
    expect(await modelsOf(child.url)).toEqual(['citadel-demo'])
  })

  test('when the file changes, in place or by a new one', async () => {
    await using child = await start(DEMO)

    await write(child, `${DEMO}models: { first: { endpoint: "http://127.0.0.1:9" } }\n`)
    await until(async () => (await modelsOf(child.url)).includes('first'))
    await writeFile(join(child.folder, 'next'), `${DEMO}models: { second: { endpoint: "http://127.0.0.1:9" } }\n`)
    await rename(join(child.folder, 'next'), join(child.folder, 'gateway.yaml'))
    await until(async () => (await modelsOf(child.url)).includes('second'))

    expect(await modelsOf(child.url)).toEqual(['citadel-demo', 'second'])
  })

  test('with a broken file changes nothing and says one time where it is wrong', async () => {
    await using child = await start(DEMO)

    await write(child, `${DEMO}models:\n  first: { endpont: "http://127.0.0.1:9" }\n`)
    await child.said(/"message":"configuration not reloaded"/, 'out')

    expect(await modelsOf(child.url)).toEqual(['citadel-demo'])
    const errors = child
      .out()
      .split('\n')
      .filter(line => line.includes('not reloaded'))
    expect(errors).toHaveLength(1)
    expect(JSON.parse(errors[0] ?? '')).toMatchObject({
      level: 'error',
      detail: expect.stringMatching(/^gateway\.yaml:3:\d+ {2}models\.first\.endpont: unknown key/),
    })
    const metrics = await (await fetch(`${child.url}/metrics`)).text()
    expect(metrics).toContain('gateway_config_last_reload_successful 0')
  })

  test('says which keys wait for a restart', async () => {
    await using child = await start(DEMO)

    await write(child, `${DEMO}service: { host: 127.0.0.2, name: renamed }\n`)
    const [line] = await child.said(/.*only by a restart.*/, 'out')

    expect(JSON.parse(line)).toMatchObject({ level: 'warn', message: expect.stringMatching(/restart: service\.host$/) })
    const health = (await (await fetch(`${child.url}/health`)).json()) as { gateway: string }
    expect(health.gateway).toBe('renamed')
  })

  test('takes new keys over at once', async () => {
    await using child = await start(DEMO)

    await write(child, `${DEMO}auth: { keys: [{ name: a, key: sk-of-somebody }] }\n`)
    await until(async () => (await statusOf(`${child.url}/v1/models`)) === 401)

    const { status } = await fetch(`${child.url}/v1/models`, { headers: { 'x-api-key': 'sk-of-somebody' } })
    expect(status).toBe(200)
  })

  test('lets a stream finish, also on a server that is gone, and remembers what is in flight', async () => {
    const hold = gate()
    await using upstream = await heldUpstream(hold)
    await using child = await start(held(upstream.url))
    const inFlight = async () => {
      const { models } = (await (await fetch(`${child.url}/models/status`)).json()) as {
        readonly models: readonly { readonly id: string; readonly targets: readonly { readonly in_flight: number }[] }[]
      }
      return models.find(({ id }) => id === 'held')?.targets[0]?.in_flight
    }
    const stream = await begun(child.url)

    await write(child, held(upstream.url, '  other: { endpoint: "http://127.0.0.1:9" }\n'))
    await until(async () => (await modelsOf(child.url)).includes('other'))
    const kept = await inFlight()
    await write(child, `gateway: { discover: false }\nmodels:\n  other: { endpoint: "http://127.0.0.1:9" }\n`)
    await until(async () => !(await modelsOf(child.url)).includes('held'))
    const gone = await ask(child.url, 'held')
    hold.open()
    const text = await stream.rest()
    await write(child, held(upstream.url))
    await until(async () => (await modelsOf(child.url)).includes('held'))

    expect(kept).toBe(1)
    expect(gone.status).toBe(404)
    expect(text).toEndWith('data: [DONE]\n\n')
    expect(await inFlight()).toBe(0)
  })
})

describe('a port for metrics', () => {
  test('serves them without a key, and nothing else', async () => {
    const port = await freePort()
    await using child = await start(
      `${DEMO}monitoring: { prometheus_port: ${port} }\nauth: { admin_keys: [sk-of-the-admin] }\n`,
    )

    const metrics = await fetch(`http://127.0.0.1:${port}/metrics`)

    expect(metrics.status).toBe(200)
    expect(await metrics.text()).toContain('gateway_build_info')
    expect(await statusOf(`http://127.0.0.1:${port}/v1/models`)).toBe(404)
    expect(await statusOf(`${child.url}/metrics`)).toBe(401)
  })

  test('that is taken is only a warning', async () => {
    await using taken = await takenPort()
    await using child = await start(`${DEMO}monitoring: { prometheus_port: ${taken.port} }\n`)

    const [line] = await child.said(/.*prometheus_port.*/, 'out')

    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      message: expect.stringContaining(`port ${taken.port} is in use`),
    })
    expect(await statusOf(`${child.url}/metrics`)).toBe(200)
  })
})

describe('with nothing configured', () => {
  test('a key of the environment brings its server’s models', async () => {
    await using upstream = await startUpstream(openAiScript({ models: ['gpt-a', 'gpt-b'] }))
    await using child = await start(null, {
      OPENAI_API_KEY: 'sk-of-the-environment',
      OPENAI_BASE_URL: `${upstream.url}/v1`,
      AZURE_OPENAI_API_KEY: 'sk-deep',
    })

    const answer = await ask(child.url, 'gpt-b')

    expect(child.err()).toMatch(/key +openai \(openai\) at http:\S+: 2 models: gpt-a, gpt-b/)
    expect(child.err()).toContain('AZURE_OPENAI_API_KEY is set, but Azure OpenAI needs an address')
    expect(child.err()).not.toContain('sk-')
    expect(await modelsOf(child.url)).toEqual(expect.arrayContaining(['citadel-demo', 'gpt-a', 'gpt-b']))
    expect(answer.status).toBe(200)
    const call = upstream.requests.find(({ path }) => path.endsWith('/chat/completions'))
    expect(call?.headers.authorization).toBe('Bearer sk-of-the-environment')
  })

  test('an address that is none is told, and its key is not sent elsewhere', async () => {
    await using child = await start(null, { OPENAI_API_KEY: 'sk-key', OPENAI_BASE_URL: 'localhost:9' })

    expect(child.err()).toContain('OPENAI_BASE_URL: ignored together with OPENAI_API_KEY')
  })

  test('a local Ollama is found and serves', async () => {
    await using ollama = await startUpstream(({ path }) => {
      if (path === '/api/chat') return ollamaStream('tiny:latest', 'Good', ' day')
      if (path === '/api/tags') return json(200, ollamaTags('tiny:latest'))
      return path === '/api/version' ? json(200, { version: '0.12.0' }) : json(404, {})
    })
    await using child = await start(null, { OLLAMA_HOST: `127.0.0.1:${ollama.port}` })

    // It is told with the first lines, or behind them when the machine is busy.
    await child.said(/found +ollama \(ollama\) at http:\S+: model tiny:latest/)
    await child.said(/no +LM Studio: /)
    const answer = await ask(child.url, 'tiny', { stream: true })

    expect(await modelsOf(child.url)).toContain('tiny:latest')
    const text = await answer.text()
    expect(text).toContain('"content":"Good"')
    expect(text).toEndWith('data: [DONE]\n\n')
  })

  test('models of the environment are said to be from there', async () => {
    await using upstream = await startUpstream(openAiScript())
    await using child = await start(null, { PHI_3_MINI_ENDPOINT: upstream.url })

    expect(child.err()).toContain('no configuration file: what the variables of the environment say')
  })

  test('the demonstration answers when nothing was found', async () => {
    await using child = await start(null)

    expect(child.err()).toContain('no configuration file: looked around instead')
    expect((await ask(child.url, 'citadel-demo')).status).toBe(200)
  })
})
