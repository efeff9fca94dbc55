import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { VERSION } from '#src/version.ts'
import { run, start } from '#tests/e2e/child.ts'
import { makeCertificates } from '#tests/support/certificates.ts'
import { configOf, startGateway, startModelServer } from '#tests/support/gateway.ts'
import { chatEvents, openAiScript } from '#tests/support/openai-upstream.ts'
import { cut, hang, html, json, type Script, sse, startUpstream } from '#tests/support/upstream.ts'

setDefaultTimeout(20_000)

const KEY = 'sk-of-the-application'
const CLI = new URL('../../src/cli/main.ts', import.meta.url).pathname
const NOWHERE = 'http://127.0.0.1:9'

/** Runs a command to its end. */
async function command(args: readonly string[], options: Parameters<typeof run>[1] = {}) {
  await using child = await run(args, options)
  const status = await child.exited
  return { status, out: child.out(), err: child.err() }
}

/** A gateway that asks for a key, in front of one scripted server. */
async function gatewayOf(script: Script) {
  const server = await startModelServer(script)
  const gateway = await startGateway(configOf([server], { auth: { keys: [{ name: 'application', key: KEY }] } }))
  return {
    url: gateway.url,
    server,
    env: { CITADEL_URL: gateway.url, CITADEL_API_KEY: KEY },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]()
      await server.close()
    },
  }
}

describe('healthcheck', () => {
  test('finds the gateway of the configuration, also on every address', async () => {
    await using child = await start('gateway: { discover: false, demo: true }\nservice: { host: 0.0.0.0 }\n')
    const { port } = new URL(child.url)
    const files = { 'gateway.yaml': 'service: { host: 0.0.0.0 }\n' }

    const found = await command(['healthcheck', '-c', 'gateway.yaml', '--port', port], { files })

    expect(found).toEqual({ status: 0, out: '', err: '' })
  })

  test('finds a gateway that speaks https under another name', async () => {
    await using certificates = await makeCertificates()
    const { cert, key } = await certificates.issue('gateway.example')
    const own = `gateway: { discover: false, demo: true }\nservice: { tls: { cert_file: ${cert}, key_file: ${key} } }\n`
    await using child = await start(own)

    const { port } = new URL(child.url)
    const found = await command(['healthcheck', '-c', 'gateway.yaml', '--port', port], {
      files: { 'gateway.yaml': own },
    })

    expect(found).toEqual({ status: 0, out: '', err: '' })
  })

  test('says what is wrong with the certificate of an address, or with its name', async () => {
    await using certificates = await makeCertificates()
    const { cert, key } = await certificates.issue('gateway.example', 1, 'DNS:localhost')
    await using child = await start(`service: { tls: { cert_file: ${cert}, key_file: ${key} } }\n`)
    const { port } = new URL(child.url)
    const ask = async (host: string, env: Readonly<Record<string, string>> = {}) =>
      (await command(['healthcheck', '--url', `https://${host}:${port}`], { env })).err

    const [stranger, known, other, nowhere] = await Promise.all([
      ask('localhost'),
      ask('localhost', { NODE_EXTRA_CA_CERTS: certificates.ca }),
      ask('127.0.0.1', { NODE_EXTRA_CA_CERTS: certificates.ca }),
      ask('nowhere.invalid'),
    ])

    expect(stranger).toContain('its certificate is not trusted here')
    expect(stranger).toContain('NODE_EXTRA_CA_CERTS')
    expect(known).toBe('')
    expect(other).toContain('its certificate is for another name')
    expect(nowhere).toContain('nobody knows its host name')
  })

  test.each([
    ['nobody answers', () => startUpstream([cut()]), /no gateway answers/],
    ['it does not answer in time', () => startUpstream([hang()]), /did not answer in time/],
    ['something else is there', () => startUpstream(json(503, {})), /HTTP 503 .* not from a gateway/],
    ['it is not ready', () => startGateway({}), /the gateway at \S+ is not ready: no model can be served now/],
  ])('ends with the exit status 1 when %s', async (_, listen, said) => {
    await using listener = await listen()

    const { status, err } = await command(['healthcheck', '--url', listener.url, '--timeout', '300ms'])

    expect(status).toBe(1)
    expect(err).toMatch(said)
  })

  test('ends with 1 for an option that it does not know, in the words of other commands', async () => {
    const [health, models] = [await command(['healthcheck', '--prot', '1']), await command(['models', '--prot', '1'])]

    expect([health.status, models.status]).toEqual([1, 64])
    expect(health.err).toBe(models.err.replace('citadel models', 'citadel healthcheck'))
  })

  test('ends with 1 for a configuration that is wrong, too', async () => {
    expect((await command(['healthcheck', '-c', 'nothing.yaml'])).status).toBe(1)
  })
})

describe('models', () => {
  test('are a table for people and JSON for programs', async () => {
    await using gateway = await gatewayOf(openAiScript())

    const table = await command(['models'], gateway)
    const list = await command(['models', '--json'], gateway)

    expect(table.out).toMatch(/^MODEL {2}CLASS {2}CONTEXT {2}FROM\nchat {3}- {6}- {8}a\n$/)
    expect(JSON.parse(list.out)).toMatchObject([{ id: 'chat', object: 'model' }])
  })

  test('need the key that the gateway asks for, and say how it is given', async () => {
    await using gateway = await gatewayOf(openAiScript())

    const { status, out, err } = await command(['models', '--url', gateway.url])

    expect([status, out]).toEqual([1, ''])
    expect(err).toMatch(/--key, or CITADEL_API_KEY.* \(request [0-9a-f-]{36}\)/)
  })

  test.each([
    ['nobody is there', NOWHERE, 'one', 69, /citadel start/],
    ['the address is none', 'localhost', 'one', 64, /--url http/],
    ['the key is none', NOWHERE, 'two\nlines', 64, /the key is none/],
  ])('end with a failure when %s', async (_, url, key, status, said) => {
    const answer = await command(['models', '--url', url, '--key', key])

    expect([answer.status, answer.out]).toEqual([status, ''])
    expect(answer.err).toMatch(said)
  })

  test.each([[['chat', 'Hello!']], [['chat', '--model', 'nobody', 'Hello!']]])(
    '%j of a gateway that has no such model says how one is found and named',
    async args => {
      await using gateway = await start('gateway: { discover: false, demo: true }\n')

      const { status, err } = await command([...args, '--url', gateway.url])

      expect(status).toBe(1)
      expect(err).toMatch(/ `citadel models` lists the models; name one with --model\./)
    },
  )

  test('fail when something else is there', async () => {
    await using upstream = await startUpstream(html(404))

    expect(await command(['models', '--url', upstream.url])).toMatchObject({
      status: 1,
      err: expect.stringContaining(`HTTP 404 from ${upstream.url}, and not from a gateway`),
    })
  })
})

describe('chat', () => {
  test('writes the answer of a model', async () => {
    await using gateway = await gatewayOf(openAiScript())

    const { status, out } = await command(
      ['chat', '--model', 'chat', '--system', 'Be kind.', 'Who', 'is there?'],
      gateway,
    )

    expect([status, out]).toEqual([0, 'Hello there!\n'])
    expect(gateway.server.calls[0]?.json()).toMatchObject({
      messages: [
        { role: 'system', content: 'Be kind.' },
        { role: 'user', content: 'Who is there?' },
      ],
    })
  })

  test('reads the prompt from standard input, and tells all of it as JSON', async () => {
    await using gateway = await gatewayOf(openAiScript())

    const { out } = await command(['chat', '-m', 'chat', '--json'], { ...gateway, input: 'From a file' })

    expect(JSON.parse(out)).toEqual({
      text: 'Hello there!',
      usage: expect.objectContaining({ total_tokens: 10 }),
      model: 'chat',
      server: 'a',
      request_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    expect(gateway.server.calls[0]?.json()).toMatchObject({ messages: [{ role: 'user', content: 'From a file' }] })
  })

  test('waits for a reader that takes its time', async () => {
    const piece = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' }
    const said = (delta: object, finish_reason: string | null) =>
      JSON.stringify({ ...piece, choices: [{ index: 0, delta, finish_reason }] })
    const long = said({ content: 'a'.repeat(50_000) }, null)
    await using gateway = await gatewayOf(sse([long, long, long, long, said({}, 'stop'), '[DONE]']))
    const slowly = '"$@" | { sleep 2; wc -c; }'

    await using child = await run(['chat', '-m', 'chat', 'Hi'], {
      ...gateway,
      program: ['sh', '-c', slowly, 'sh', process.execPath, CLI],
    })
    await child.exited

    expect([child.out().trim(), child.err()]).toEqual(['200001', ''])
  })

  test('ends quietly when its reader has left', async () => {
    await using gateway = await gatewayOf(openAiScript())

    await using child = await run(['chat', '-m', 'chat', 'Hi'], {
      ...gateway,
      program: ['sh', '-c', '{ "$@"; echo "status $?" >&2; } | true', 'sh', process.execPath, CLI],
    })
    await child.exited

    expect([child.out(), child.err()]).toEqual(['', 'status 0\n'])
  })

  test('shows what came, and says that it broke off', async () => {
    await using gateway = await gatewayOf(sse([...chatEvents('m').slice(0, 2), cut()]))

    const { status, out, err } = await command(['chat', '-m', 'chat', 'Hi'], gateway)

    expect([status, out]).toEqual([1, 'Hello'])
    expect(err).toContain('the answer broke off')
  })

  test('says what the gateway says', async () => {
    await using gateway = await gatewayOf(openAiScript())

    const { status, err } = await command(['chat', '-m', 'chatt', 'Hi'], gateway)

    expect(status).toBe(1)
    expect(err).toMatch(/"chat".*\(request/)
  })

  test('is a wrong command line without a prompt', async () => {
    expect(await command(['chat'], { input: ' \n' })).toMatchObject({
      status: 64,
      err: expect.stringMatching(/no prompt/),
    })
  })
})

describe('config show', () => {
  test('says so where nothing is configured, and how to see the defaults', async () => {
    expect(await command(['config', 'show'])).toEqual({
      status: 0,
      out: '',
      err: 'nothing is configured; --resolved shows the defaults\n',
    })
  })

  const files = {
    'gateway.yaml':
      'service: { port: 9000 }\nredis: { url: "redis://:geheimes-wort@db:6379" }\nauth: { admin_keys: [ein-langer-schluessel] }\n',
  }

  test('shows what was written, where, and no secret', async () => {
    const { status, out } = await command(['config', 'show', '-c', 'gateway.yaml'], {
      files,
      env: { LOAD_BALANCER_ALGORITHM: 'random' },
    })

    expect(status).toBe(0)
    expect(out).toContain('service.port: 9000  # gateway.yaml:1:18\n')
    expect(out).toContain('load_balancer.algorithm: "random"  # LOAD_BALANCER_ALGORITHM\n')
    expect(out).toContain('auth.admin_keys.0: "[redacted]"')
    expect(out).not.toMatch(/geheimes|schluessel|default/)
  })

  test('shows durations and sizes with their units, as a file has them', async () => {
    const text = `
servers: [{ id: a, kind: ollama, timeouts: { total: 1500ms } }]
models: { gpt-4.1: { targets: [{ server: a }], timeouts: { idle: 90 } } }
monitoring: { thresholds: { response_time: [2s, 5s] } }
`
    const { out } = await command(['config', 'show', '--resolved', '-c', 'gateway.yaml'], {
      files: { 'gateway.yaml': text },
    })

    for (const line of [
      'servers.0.timeouts.total: "1500ms"  # gateway.yaml',
      'models.gpt-4.1.timeouts.idle: "90s"  # gateway.yaml',
      'monitoring.thresholds.response_time.0: "2s"  # gateway.yaml',
      'service.max_body: "10MB"  # default',
      'service.keep_alive: "65s"  # default',
      'service.worker_max_requests: 0  # default',
    ])
      expect(out).toContain(line)
  })

  test('shows everything with --resolved, and as JSON', async () => {
    const { out } = await command(['config', 'show', '--resolved', '--json', '-c', 'gateway.yaml'], { files })

    const entries: readonly object[] = JSON.parse(out)
    expect(entries).toContainEqual({ key: 'service.host', value: '127.0.0.1', origin: 'default' })
    expect(entries).toContainEqual({ key: 'service.port', value: 9000, origin: 'gateway.yaml:1:18' })
    expect(out).not.toMatch(/geheimes|schluessel/)
  })

  test('of a file that is wrong is an error', async () => {
    expect(
      await command(['config', 'show', '-c', 'gateway.yaml'], { files: { 'gateway.yaml': 'x: 1' } }),
    ).toMatchObject({ status: 78, out: '' })
    expect(await command(['config', 'shwo'])).toMatchObject({ status: 64, out: '' })
  })
})

describe('--help', () => {
  test.each([
    [['start', '--help'], 'citadel start [--config FILE]'],
    [['keys', 'create', '--help'], '[--requests-per-minute N]'],
    [['chat', '-h'], 'CITADEL_API_KEY'],
    [['config', '--help'], 'citadel config schema'],
    [['completion', '--help'], 'bash|zsh|fish'],
  ])('of %j prints how the command is used', async (args, expected) => {
    expect(await command(args)).toMatchObject({ status: 0, out: expect.stringContaining(expected), err: '' })
  })

  test('of a command is also what help says of it', async () => {
    const [help, option] = [await command(['help', 'keys']), await command(['keys', '--help'])]

    expect(help).toEqual(option)
  })

  test('names the options of those that ask a running gateway', async () => {
    for (const name of ['healthcheck', 'models', 'chat'])
      expect((await command([name, '--help'])).out).toMatch(/--url ADDRESS.*--port N/s)
  })

  test('of a command explains its options, and none that it does not take', async () => {
    const help = async (name: string) => (await command([name, '--help'])).out

    expect(await help('keys')).toMatch(/--overlap 1d {2,}how long the old secret/)
    expect(await help('start')).toMatch(/--port N, -p {2,}\S/)
    expect(await help('audit')).toMatch(/--config FILE, -c {2,}\S/)
    for (const name of ['version', 'completion']) expect(await help(name)).not.toContain('--config')
    for (const name of ['start', 'keys', 'migrate']) expect(await help(name)).not.toContain('--url')
  })

  test('explains every option that a usage names', async () => {
    const { out } = await command(['help'])
    const names = [...out.matchAll(/^citadel ([a-z]+) /gm)].map(([, name = '']) => name)
    for (const name of new Set(names)) {
      const { out: help } = await command([name, '--help'])
      for (const [option] of help.matchAll(/--[a-z-]+/g))
        expect(help).toMatch(new RegExp(`^ {2}${option}[^a-z-].* {2}\\S`, 'm'))
    }
  })

  test('behind -- is a word of the prompt', async () => {
    const { status, err } = await command(['chat', '--url', NOWHERE, '--', '--help'])

    expect([status, err]).toEqual([69, expect.stringContaining(NOWHERE)])
  })
})

describe('completion', () => {
  test('completes commands, what they do, and their options, in bash', async () => {
    const { out } = await command(['completion', 'bash'])
    const complete = async (...words: readonly string[]) => {
      const line = words.map(word => `'${word}'`).join(' ')
      const script = `${out}\nCOMP_WORDS=(citadel ${line}); COMP_CWORD=${words.length}; _citadel; echo "\${COMPREPLY[*]}"`
      return (await new Response(Bun.spawn(['bash', '-c', script], { stderr: 'ignore' }).stdout).text())
        .trim()
        .split(' ')
    }

    expect(await complete('ch')).toEqual(['check', 'chat'])
    expect(await complete('keys', '')).toEqual(expect.arrayContaining(['create', 'revoke', '--name', '--overlap']))
    expect(await complete('doctor', '--n')).toEqual(['--no-calls'])
    expect(await complete('chat', '--u')).toEqual(['--url'])
    expect(await complete('check', '--c')).toEqual(['--config'])
  })

  test('leaves zsh the words that it completes, and completes at once when zsh loads it by itself', async () => {
    const { out } = await command(['completion', 'zsh'])

    expect(out).not.toMatch(/local -a.*\bwords\b|\bwords=\(/)
    expect(out).toEndWith('if [[ $funcstack[1] == _citadel ]]; then _citadel "$@"; else compdef _citadel citadel; fi\n')
  })

  test('knows every command of the help in every shell', async () => {
    const names = [...(await command(['help'])).out.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name)

    expect(names).toContain('doctor')
    for (const shell of ['bash', 'zsh', 'fish']) {
      const { out } = await command(['completion', shell])
      for (const name of names) expect(out, `${name} in ${shell}`).toMatch(new RegExp(`\\b${name}\\b`))
    }
  })

  test('of another shell is wrong usage', async () => {
    expect(await command(['completion', 'csh'])).toMatchObject({
      status: 64,
      out: '',
      err: expect.stringMatching(/bash\|zsh\|fish/),
    })
  })
})

describe('check', () => {
  test('names the files of certificates that cannot be read, without which the gateway would start', async () => {
    const written = `servers:
  - { id: a, kind: openai, tls: { ca_file: ca.pem, cert_file: ./gateway.yaml } }
database: { url: "postgres://me:secret@db/name?sslmode=verify-full&sslrootcert=/gone/ca.pem" }
`
    const { status, out, err } = await command(['check', 'gateway.yaml'], { files: { 'gateway.yaml': written } })

    expect([status, out]).toEqual([78, ''])
    expect(err).toBe(`gateway.yaml:2:44  servers.0.tls.ca_file: ca.pem does not exist
gateway.yaml:3:18  database.url: sslrootcert /gone/ca.pem does not exist
2 problems; nothing was started.
`)
  })

  test('tells programs what is wrong, and where', async () => {
    const files = {
      'good.yaml': 'service: { secret: "0123456789abcdef0123456789abcdef" }\n',
      'bad.yaml': 'service:\n  prot: 1\n  workers: many\n',
      'tls.yaml': 'service: { tls: { cert_file: gone.pem, key_file: gone.key } }\n',
    }
    const reports = []
    for (const name of Object.keys(files)) {
      const { status, out, err } = await command(['check', name, '--json'], { files })
      reports.push([status, JSON.parse(out), err])
    }

    expect(reports).toEqual([
      [0, { ok: true, problems: [], warnings: [expect.stringMatching(/no effect yet/)] }, ''],
      [
        78,
        {
          ok: false,
          problems: [
            expect.objectContaining({ file: 'bad.yaml', line: 2, column: 3, path: 'service.prot' }),
            expect.objectContaining({ line: 3, path: 'service.workers', message: expect.stringMatching(/^expected/) }),
          ],
          warnings: [],
        },
        '',
      ],
      [78, { ok: false, problems: [expect.objectContaining({ path: 'service.tls' })], warnings: [] }, ''],
    ])
  })
})

describe('a command line that is wrong', () => {
  test.each([
    [['chekc'], 64, 'citadel: unknown command "chekc", did you mean "check"? Try: citadel help\n'],
    [['serve'], 64, 'citadel: unknown command "serve", did you mean "start"? Try: citadel help\n'],
    [['--port', '1'], 64, 'citadel: a command comes first, such as: citadel start. Try: citadel help\n'],
    [['frobnicate'], 64, 'citadel: unknown command "frobnicate". Try: citadel help\n'],
    [['check', '--config='], 78, 'flag  --config: names no file\n1 problem; nothing was started.\n'],
    [['check', '--env-file', ''], 78, 'flag  --env-file: names no file\n1 problem; nothing was started.\n'],
    [
      ['check', '--confg', 'x'],
      64,
      'citadel: Unknown option \'--confg\', did you mean "--config"? Try: citadel check --help\n',
    ],
    [
      ['doctor', '--no-call'],
      64,
      'citadel: Unknown option \'--no-call\', did you mean "--no-calls"? Try: citadel doctor --help\n',
    ],
    [['models', '--frobnicate'], 64, "citadel: Unknown option '--frobnicate'. Try: citadel models --help\n"],
    [['start', '-x'], 64, "citadel: Unknown option '-x'. Try: citadel start --help\n"],
    [['audit'], 64, 'citadel: usage: citadel audit verify [--config FILE]... [--env-file FILE]...\n'],
  ])('such as %j is told what it should be', async (args, status, err) => {
    expect(await command(args)).toEqual({ status, out: '', err })
  })

  test.each([
    [['--requests-per-minute', ''], '--requests-per-minute: expected a whole number'],
    [['--tokens-per-minute', ' '], '--tokens-per-minute: expected a whole number'],
    [['--concurrent-requests', '0x10'], '--concurrent-requests: expected a whole number'],
    [['--budget', ''], '--budget: expected US dollars'],
    [['--budget', '/month'], '--budget: expected US dollars'],
    [['--budget', '5/day/week'], '--budget: expected US dollars'],
    [['--models', ''], '--models: expected names'],
    [['--models', 'chat, '], '--models: expected names'],
    [['--name', 'two\nlines'], '--name: expected 1 to 100 characters, none of them invisible or a control character'],
    [['--overlap', '1h'], 'keys create does not take --overlap'],
    [['--requests-per-minute', '-5'], "'--requests-per-minute' argument is ambiguous. Try: citadel keys --help"],
  ])('creates no key with %j', async (args, said) => {
    const { status, out, err } = await command(['keys', 'create', '--name', 'web', ...args])

    expect([status, out]).toEqual([64, ''])
    expect(err).toContain(said)
  })

  test('of a key that is rotated changes nothing else, and says so', async () => {
    const { status, err } = await command(['keys', 'rotate', 'ID', '--expires', '2037-01-01'])

    expect([status, err]).toEqual([64, 'citadel: keys rotate does not take --expires. Try: citadel keys --help\n'])
  })
})

test('version is for people, and for programs', async () => {
  const [plain, parsed, wrong] = [
    await command(['version']),
    await command(['version', '--json']),
    await command(['version', 'now']),
  ]

  expect(plain.out).toStartWith(`citadel-gateway ${VERSION} (Bun `)
  expect(JSON.parse(parsed.out)).toMatchObject({ version: VERSION, bun: Bun.version })
  expect(wrong.status).toBe(64)
})

test('a key whose secret cannot be written, as on a full disk, is told to be lost', async () => {
  const program = ['sh', '-c', 'exec "$0" "$@" > /dev/full', process.execPath, CLI]
  await using child = await run(['keys', 'create', '--name', 'web'], { program })

  expect(await child.exited).toBe(1)
  expect(child.err()).toMatch(/active .* web$/m)
  expect(child.err()).toMatch(/^citadel: standard output cannot be written: ENOSPC/m)
})

test('a failure that nobody knows ends the command, also while connections are open', async () => {
  await using server = await startModelServer(openAiScript())
  const preload = `const { on } = process
process.on = function (name, ...more) {
  if (name === 'SIGHUP') throw new TypeError('the runtime is odd today')
  return on.call(this, name, ...more)
}`
  const files = {
    'odd.ts': preload,
    'gateway.yaml': `gateway: { discover: false }\nservers: [{ id: a, kind: openai_compatible, base_url: "${server.url}/v1" }]\n`,
  }
  const program = [process.execPath, '--preload', './odd.ts', CLI]
  await using child = await run(['start', '--port', '0', '-c', 'gateway.yaml'], { files, program })

  await child.said(/the runtime is odd today/)
  const status = await Promise.race([child.exited, Bun.sleep(5000).then(() => 'it goes on')])

  expect(status).toBe(1)
})
