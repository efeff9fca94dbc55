import { describe, expect, setDefaultTimeout, test } from 'bun:test'
import { existsSync } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DCLinter } from 'dclint'
import { validate } from 'dockerfile-utils'
import { parse } from 'yaml'
import { loadConfig } from '#config/load.ts'
import { parseDuration } from '#lib/duration.ts'
import { freePort, ownFolder, runProgram, serverProcess } from '#tests/support/server-process.ts'
import { DEPLOY, ROOT, read, stopSeconds } from './files.ts'

setDefaultTimeout(60_000)

const DOCKERFILE = 'docker/Dockerfile'
const COMPOSES = ['docker/compose.yaml', 'docker/compose.full.yaml']
const NOBODY = { uid: 65_534, gid: 65_534 }
const { version, engines } = await Bun.file(join(ROOT, 'package.json')).json()

/** The instructions of the last stage, each with what follows it. */
function instructions(): (readonly [name: string, rest: string])[] {
  const text = read(DOCKERFILE).replaceAll(/\\\n\s*/g, '')
  const stage = text.slice(text.lastIndexOf('\nFROM ') + 1)
  return [...stage.matchAll(/^([A-Z]+) (.*)$/gm)].map(([, name = '', rest = '']) => [name, rest])
}

function only(name: string): string {
  return instructions().findLast(([each]) => each === name)?.[1] ?? ''
}

describe('the image', () => {
  test('is described without a mistake', () => {
    expect(validate(read(DOCKERFILE)).map(({ message }) => message)).toEqual([])
    expect(validate('FROM scratch\nCOPPY a b\n').length).toBe(1)
  })

  test('is built in two stages on the runtime that the project names, and runs as nobody in particular', () => {
    const bases = [...read(DOCKERFILE).matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)

    expect(bases).toEqual([`oven/bun:${engines.bun}-slim`, `oven/bun:${engines.bun}-slim`])
    expect(only('USER')).toMatch(/^[1-9]\d*:[1-9]\d*$/)
    expect(only('HEALTHCHECK')).toEndWith('CMD ["bun", "/app/src/cli/main.ts", "healthcheck"]')
  })

  test('holds all that a gateway needs, and nothing needs to be written but the data', async () => {
    const folder = await ownFolder('citadel-image-')
    const at = (...parts: string[]) => join(folder.path, ...parts)
    const user = process.getuid?.() === 0 ? NOBODY : undefined
    const data = await ownFolder('citadel-data-', user)
    const port = await freePort()
    await mkdir(at('app'))
    await cp(process.execPath, at('bun'))
    for (const name of ['package.json', 'bun.lock', 'bunfig.toml']) await cp(join(ROOT, name), at('app', name))
    await runProgram(['sh', '-c', 'cd "$1" && exec ../bun install --frozen-lockfile --production', 'sh', at('app')])
    for (const [name, rest] of instructions()) {
      if (name !== 'COPY' || rest.startsWith('--from')) continue
      const words = rest.split(' ')
      const target = words.pop() ?? ''
      for (const source of words) {
        const into = target.endsWith('/') ? join(target, source.slice(source.lastIndexOf('/') + 1)) : target
        await cp(join(ROOT, source), at('app', into), { recursive: true })
      }
    }
    const env = Object.fromEntries(
      [...only('ENV').matchAll(/(\w+)=(\S+)/g)].map(([, key = '', value = '']) => [key, value]),
    )
    await runProgram(['chmod', '-R', 'a=rX', folder.path])
    await runProgram(['chmod', 'a+x', at('bun')])
    const words: string[] = [...JSON.parse(only('ENTRYPOINT')), ...JSON.parse(only('CMD'))]
    await using gateway = Object.assign(
      serverProcess({
        command: [at('bun'), ...words.slice(1).map(word => word.replace(/^\/app/, at('app'))), '--port', `${port}`],
        env: { ...env, STATE_DIRECTORY: data.path },
        stopSignal: 'SIGINT',
        ready: () =>
          fetch(`http://127.0.0.1:${port}/readyz`).then(
            ({ ok }) => ok,
            () => false,
          ),
        user,
      }),
      {
        async [Symbol.asyncDispose]() {
          await gateway.kill()
          await runProgram(['chmod', '-R', 'u+w', folder.path])
          await Promise.all([folder.remove(), data.remove()])
        },
      },
    )

    await gateway.start()
    const body = JSON.stringify({ model: 'citadel-demo', messages: [{ role: 'user', content: 'Hi' }] })
    const answer = await fetch(`http://127.0.0.1:${port}/v1/chat/completions`, { method: 'POST', body })

    expect(answer.status).toBe(200)
  })

  test('is sent what it copies, and no more', () => {
    const copied = [...read(DOCKERFILE).matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, all = '']) =>
      all.split(' '),
    )
    const sent = [...read('docker/Dockerfile.dockerignore').matchAll(/^!(.*)$/gm)].map(([, path]) => path ?? '')

    expect(read('docker/Dockerfile.dockerignore')).toMatch(/^\*$/m)
    expect(sent.toSorted()).toEqual([...new Set(copied)].toSorted())
  })
})

describe.each(COMPOSES)('%s', path => {
  const { services, volumes, secrets = {} } = parse(read(path))
  const { gateway } = services

  test('is what the Compose specification allows', () => {
    // The order of things is a matter of taste, and an image that is built has a name of its own here.
    const rules: ConstructorParameters<typeof DCLinter>[0]['rules'] = {
      'no-build-and-image': 0,
      'service-keys-order': 0,
      'services-alphabetical-order': 0,
      'require-quotes-in-ports': [1, { quoteType: 'double' }],
    }
    const linter = new DCLinter({ rules, quiet: false, debug: false, exclude: [] })
    const results = linter.lintFiles([join(DEPLOY, path)], false)

    expect(results.flatMap(({ messages }) => messages.map(({ message }) => message))).toEqual([])
    expect(results).toHaveLength(1)
  })

  test('gives the gateway nothing that it does not need, and time to stop', () => {
    expect(gateway).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect((parseDuration(gateway.stop_grace_period) ?? 0) / 1000).toBeGreaterThan(stopSeconds())
    expect(gateway.image).toBe(`citadel-gateway:${version}`)
    for (const { ports = [] } of Object.values<{ ports?: string[] }>(services)) {
      for (const port of ports) expect(port).toStartWith('127.0.0.1:')
    }
  })

  test('names files, volumes and secrets that are there', () => {
    for (const { volumes: all = [], secrets: some = [] } of Object.values<{ volumes?: string[]; secrets?: string[] }>(
      services,
    )) {
      for (const volume of all) {
        const [source = ''] = volume.split(':')
        expect(
          source.startsWith('.') ? existsSync(join(DEPLOY, dirname(path), source)) : source in volumes,
          volume,
        ).toBe(true)
      }
      expect(some.filter(name => !(name in secrets))).toEqual([])
    }
    expect(existsSync(join(DEPLOY, dirname(path), gateway.build.context, gateway.build.dockerfile))).toBe(true)
  })
})

describe('the files that compose mounts', () => {
  test('configure a gateway', async () => {
    const files = ['docker/gateway.yaml', 'docker/gateway.full.yaml'].map(name => join(DEPLOY, name))
    const { config, warnings } = await loadConfig({ files, env: { ALERTMANAGER_SECRET: 's' } })

    expect(warnings).toEqual([])
    expect([config.cache.enabled, config.webhooks.secrets.alertmanager]).toEqual([true, 's'])
  })

  test.each([
    ['datasource.yml', 'config/grafana/provisioning/datasources/citadel.yaml', { 'prometheus:9090': 'localhost:9090' }],
    [
      'prometheus.yml',
      'config/prometheus/prometheus.yml',
      { 'gateway:9464': 'localhost:8000', 'alertmanager:9093': 'localhost:9093' },
    ],
    [
      'alertmanager.yml',
      'config/prometheus/alertmanager.yml',
      { 'gateway:8000': 'localhost:8000', '/run/secrets/alertmanager': '/etc/prometheus/citadel-webhook.secret' },
    ],
  ])("and %s is the project's own but for the names", async (name, path, names) => {
    const own = await Bun.file(join(ROOT, path)).text()
    const renamed = Object.entries(names).reduce((text, [from, to]) => text.replace(from, to), read(`docker/${name}`))

    expect(parse(renamed)).toEqual(parse(own))
  })
})
