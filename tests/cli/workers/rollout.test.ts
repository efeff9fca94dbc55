import { expect, test } from 'bun:test'
import { configFrom } from '#config/load.ts'
import type { Settled } from '#src/cli/options.ts'
import { createRollout } from '#src/cli/workers/rollout.ts'
import { freePort } from '#tests/support/server-process.ts'

/** A rollout whose workers listen on the ports of the metrics that they were given, as far as they could be replaced. */
async function setup() {
  const ports = [await freePort(), await freePort()] as const
  const withPort = (port: number) => {
    const config = configFrom({ service: { host: '127.0.0.1' }, monitoring: { prometheus_port: port } })
    // Of the rest nothing is asked here.
    return { config, warnings: [] as readonly string[] } as Settled
  }
  const logged: string[] = []
  const log = { info() {}, warn: (text: string) => void logged.push(text), configure() {} }
  const listening = new Map<number, { stop(): Promise<void> }>()
  const listen = (port: number | null) => {
    if (port === null || listening.has(port)) return
    listening.set(port, Bun.serve({ hostname: '127.0.0.1', port, reusePort: true, fetch: () => new Response() }))
  }
  const state = { latest: withPort(ports[0]), replaces: true, rolls: 0 }
  const rollout = createRollout({
    settled: state.latest,
    log,
    configured: {
      latest: () => state.latest,
      async read(take) {
        take(state.latest)
        return state.latest
      },
    },
    workers: () => ({
      tell() {},
      async roll() {
        state.rolls++
        listen(rollout.metricsPort())
        return state.replaces
      },
    }),
  })
  listen(rollout.metricsPort())
  return {
    rollout,
    ports,
    logged,
    rolls: () => state.rolls,
    /** Reloads with this port for the metrics. */
    async reload(port: number, replaces: boolean) {
      Object.assign(state, { latest: withPort(port), replaces })
      return rollout.reload('if-needed')
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...listening.values()].map(each => each.stop()))
    },
  }
}

test('workers that start after others could not be replaced have the port for the metrics of before', async () => {
  await using setting = await setup()
  const [old, next] = setting.ports

  await setting.reload(next, false)

  expect(setting.rollout.metricsPort()).toBe(old)
  expect(setting.rollout.started().config.monitoring.prometheus_port).toBe(old)
})

test('the port for the metrics that some of the workers have already is not taken for that of another process', async () => {
  await using setting = await setup()
  const [, next] = setting.ports

  await setting.reload(next, false)
  await setting.reload(next, true)

  expect(setting.rollout.metricsPort()).toBe(next)
  expect(setting.logged).toEqual([])
})

test('to go back after some workers were replaced replaces those again', async () => {
  await using setting = await setup()
  const [old, next] = setting.ports

  await setting.reload(next, false)
  await setting.reload(old, true)
  await setting.reload(old, true)

  expect(setting.rolls()).toBe(2)
  expect(setting.rollout.metricsPort()).toBe(old)
  expect(setting.logged).toEqual([])
})

test('the port that another process has is left to it, as is one that the workers gave up', async () => {
  await using setting = await setup()
  const [old, next] = setting.ports
  await using _other = Bun.serve({ hostname: '127.0.0.1', port: next, fetch: () => new Response() })

  await setting.reload(next, true)
  const ports = [setting.rollout.metricsPort()]
  // Still somebody listens there.
  await setting.reload(old, true)
  ports.push(setting.rollout.metricsPort())

  expect(ports).toEqual([null, null])
  expect(setting.logged).toEqual([next, old].map(port => expect.stringContaining(`port ${port} is in use`)))
})

test('a reload that changes nothing replaces nobody', async () => {
  await using setting = await setup()

  expect(await setting.reload(setting.ports[0], true)).toEqual({ ok: true, warnings: [], restart: [] })
  expect(setting.rolls()).toBe(0)
})
