import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { freePorts, ownFolder, runProgram, serverProcess } from './server-process.ts'

/** The project's own files for Prometheus and Alertmanager. */
export const FILES = new URL('../../config/prometheus/', import.meta.url).pathname

/** An alert that fires now: its labels, `alertname` among them. */
export type FiringAlert = Readonly<Record<string, string>>

/** A real Prometheus with a real Alertmanager. */
export interface Monitoring {
  /** The alerts that fire now. */
  firing(): Promise<readonly FiringAlert[]>
  /** Asks a question in PromQL.
   *
   * @returns How many series answer it.
   * @throws Error with what Prometheus says of a question that is wrong. */
  query(expression: string): Promise<number>
  [Symbol.asyncDispose](): Promise<void>
}

/** What is watched. */
export interface Watched {
  /** `host:port` of each gateway. */
  readonly gateways: readonly string[]
  /** Where alerts about servers go: the gateway's webhook and its secret. */
  readonly webhook: { readonly url: string; readonly secret: string }
}

const SCRAPE = '200ms'

/** Starts both with the project's own files, in which a minute lasts a second and what is scraped and told is ours.
 *
 * @throws Error With the command that installs them when they are missing. */
export async function startMonitoring({ gateways, webhook }: Watched): Promise<Monitoring> {
  const folder = await ownFolder('citadel-prometheus-')
  const file = (name: string) => join(folder.path, name)
  const [port = 0, alertPort = 0] = await freePorts(2)
  for (const name of ['recording.yml', 'alerts.yml']) await writeFile(file(name), quickened(read(name)))
  await writeFile(file('secret'), webhook.secret)
  await writeFile(file('prometheus.yml'), prometheusFor(gateways, `127.0.0.1:${alertPort}`))
  await writeFile(file('alertmanager.yml'), alertmanagerFor(webhook.url, file('secret')))
  const alertmanager = serverProcess({
    command: [
      ...[program('prometheus-alertmanager'), `--config.file=${file('alertmanager.yml')}`],
      ...[`--storage.path=${file('alerts')}`, `--web.listen-address=127.0.0.1:${alertPort}`],
      '--cluster.listen-address=',
    ],
    stopSignal: 'SIGTERM',
    ready: () => isReady(alertPort),
  })
  const prometheus = serverProcess({
    command: [
      ...[program('prometheus'), `--config.file=${file('prometheus.yml')}`],
      ...[`--storage.tsdb.path=${file('data')}`, `--web.listen-address=127.0.0.1:${port}`],
    ],
    stopSignal: 'SIGTERM',
    ready: () => isReady(port),
  })
  await Promise.all([alertmanager.start(), prometheus.start()])

  return {
    async firing() {
      const { alerts = [] } = await ask(port, 'alerts')
      return alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels)
    },
    async query(expression) {
      const { result = [] } = await ask(port, `query?query=${encodeURIComponent(quickened(expression))}`)
      return result.length
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([prometheus.kill(), alertmanager.kill()])
      await folder.remove()
    },
  }
}

/** Runs `promtool` or `amtool` in the folder of the project's files.
 *
 * @returns What it wrote.
 * @throws Error with what is wrong. */
export function checkWith(tool: 'promtool' | 'amtool', ...words: readonly string[]): Promise<string> {
  return runProgram([program(tool), ...words])
}

interface Answer {
  readonly status: string
  readonly error?: string
  readonly data: {
    readonly alerts?: readonly { readonly state: string; readonly labels: FiringAlert }[]
    readonly result?: readonly unknown[]
  }
}

async function ask(port: number, path: string): Promise<Answer['data']> {
  const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
  const answer = (await response.json()) as Answer
  if (answer.status !== 'success') throw new Error(answer.error)
  return answer.data
}

function prometheusFor(gateways: readonly string[], alertmanager: string): string {
  const config = parse(read('prometheus.yml'))
  config.global.scrape_interval = SCRAPE
  config.global.evaluation_interval = SCRAPE
  config.scrape_configs[0].static_configs[0].targets = gateways
  config.alerting.alertmanagers[0].static_configs[0].targets = [alertmanager]
  return stringify(config)
}

function alertmanagerFor(url: string, secretFile: string): string {
  const config = parse(read('alertmanager.yml'))
  Object.assign(config.route, { group_wait: SCRAPE, group_interval: '1s' })
  const [webhook] = config.receivers.find(({ name }: { name: string }) => name === 'gateway').webhook_configs
  webhook.url = url
  webhook.http_config.authorization.credentials_file = secretFile
  return stringify(config)
}

/** The same with seconds for minutes, in windows and in how long something must last. */
function quickened(text: string): string {
  return text.replaceAll(/(\[\d+|for: \d+)m\b/g, '$1s')
}

function read(name: string): string {
  return readFileSync(join(FILES, name), 'utf8')
}

function isReady(port: number): Promise<boolean> {
  return fetch(`http://127.0.0.1:${port}/-/ready`).then(
    ({ ok }) => ok,
    () => false,
  )
}

function program(name: string): string {
  const path = `/usr/bin/${name}`
  if (existsSync(path)) return path
  const packages = 'prometheus prometheus-alertmanager'
  throw new Error(`No ${name} in /usr/bin. Install the packages ${packages} (sudo apt-get install ${packages}).`)
}
