import { existsSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { freePort, type Running, start, untilReady } from './process.ts'

/** The names of what stands between the clients and the model server; `direct` is nothing. */
export type SubjectName = 'direct' | 'bare' | 'gateway' | 'nginx'

/** Something that the load is sent through. */
export interface Subject {
  readonly name: SubjectName
  readonly port: number
  /** Null for `direct`. */
  readonly pid: number | null
  stop(): Promise<void>
}

/** What all subjects of a run share. */
export interface Bench {
  /** A folder for configuration, logs and data, removed after the run. */
  readonly folder: string
  readonly upstreamPort: number
  /** What has to be stopped when the run ends early. */
  readonly running: Set<Stoppable>
}

/** A process of the run. */
export interface Stoppable {
  stop(): Promise<void>
}

/** The one key and the one model of the gateway under test; other subjects pass them through. */
export const benchKey = 'bench-key-0123456789abcdef'
export const benchModel = 'bench'

const root = resolve(import.meta.dir, '../..')
const manyRequests = { BUN_CONFIG_MAX_HTTP_REQUESTS: '65535' }
const secondsToStart = 15

/** Starts the model server that everything is sent to. */
export async function startUpstream(folder: string): Promise<Running & { readonly port: number }> {
  const port = freePort()
  const running = start([process.execPath, join(import.meta.dir, 'upstream.ts'), String(port)], {
    log: join(folder, 'upstream.log'),
  })
  await untilReady(`http://127.0.0.1:${port}/v1/models`, {}, secondsToStart)
  return { ...running, port }
}

/** Finds which subjects this computer can run. */
export function availableSubjects(): SubjectName[] {
  const gateway: SubjectName[] = existsSync(join(root, 'src/cli/main.ts')) ? ['gateway'] : []
  const nginx: SubjectName[] = nginxPath() ? ['nginx'] : []
  return ['bare', ...gateway, ...nginx]
}

/** Starts a subject and waits until a model call goes through it. */
export async function startSubject(name: SubjectName, bench: Bench, variant: Variant = {}): Promise<Subject> {
  if (name === 'direct') return { name, port: bench.upstreamPort, pid: null, stop: async () => {} }
  const port = freePort()
  const running = starters[name](port, bench, variant)
  bench.running.add(running)
  const stop = async () => {
    await running.stop()
    bench.running.delete(running)
  }
  try {
    const body = JSON.stringify({ model: benchModel, messages: [{ role: 'user', content: 'ready?' }] })
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${benchKey}` }
    const url = `http://127.0.0.1:${port}/v1/chat/completions`
    await untilReady(url, { method: 'POST', headers, body }, secondsToStart)
  } catch (error) {
    await stop()
    throw new Error(`${name}: ${String(error)}; its output is in ${bench.folder}/${name}.log`)
  }
  return { name, port, pid: running.pid, stop }
}

/** How the gateway is run otherwise than in most measurements. */
export interface Variant {
  /** Arguments for the runtime, before the script. */
  readonly runtimeArguments?: readonly string[]
  /** Also what is off by default: the answer cache. */
  readonly everything?: boolean
  /** The address of a Redis that keeps all stored answers, and all limits. */
  readonly redisUrl?: string
  /** No stored answer fits into memory. */
  readonly far?: boolean
  /** Also limits by address and by model. */
  readonly fiveLimits?: boolean
  /** Also a row of each request, in SQLite. */
  readonly rows?: boolean
  /** Processes on its port (default: one). */
  readonly workers?: number
  /** Between "not ready" and the end, in milliseconds (default: none). */
  readonly drainMs?: number
}

const starters = { bare: startBare, gateway: startGateway, nginx: startNginx }

function startBare(port: number, { folder, upstreamPort }: Bench, { runtimeArguments = [] }: Variant): Running {
  const script = join(import.meta.dir, 'bare.ts')
  return start([process.execPath, ...runtimeArguments, script, String(port), String(upstreamPort)], {
    env: manyRequests,
    log: join(folder, 'bare.log'),
  })
}

function startGateway(port: number, bench: Bench, variant: Variant): Running {
  const { runtimeArguments = [] } = variant
  // A folder of its own, which is watched for changes; a log that is written in it would keep the watch busy.
  const config = join(mkdtempSync(join(bench.folder, 'config-')), 'gateway.yaml')
  writeFileSync(config, JSON.stringify(gatewayConfig(bench, variant), null, 2))
  const command = [process.execPath, ...runtimeArguments, 'src/cli/main.ts', 'start', '--config', config]
  return start([...command, '--port', String(port)], {
    cwd: root,
    // As `bun run start` does.
    env: { MIMALLOC_PURGE_DELAY: '1000', BUN_CONFIG_DNS_TIME_TO_LIVE_SECONDS: '5' },
    log: join(bench.folder, 'gateway.log'),
  })
}

/** Keys, limits of everybody and of each caller, metrics and the log are on, as by default; no limit is ever met. */
function gatewayConfig({ folder, upstreamPort }: Bench, variant: Variant): object {
  const {
    everything = false,
    redisUrl,
    far = false,
    fiveLimits = false,
    rows = false,
    workers = 1,
    drainMs = 0,
  } = variant
  const plenty = { requests_per_minute: 1_000_000_000, burst: 1_000_000_000, concurrent_requests: 100_000 }
  const more = fiveLimits ? { per_address: plenty, per_model: { [benchModel]: plenty } } : {}
  const data = mkdtempSync(join(folder, 'data-'))
  return {
    service: {
      ...{ host: '127.0.0.1', workers, drain_delay: `${drainMs}ms`, drain_timeout: Math.max(1, drainMs / 10) },
      ...(rows && { data_dir: data }),
    },
    auth: { mode: 'required', keys: [{ name: 'bench', key: benchKey, limits: plenty }] },
    limits: { global: plenty, per_client: plenty, ...more },
    cache: { enabled: everything, max_memory: far ? 1 : '64MB' },
    ...(redisUrl !== undefined && { redis: { url: redisUrl } }),
    servers: [{ id: 'bench', kind: 'openai_compatible', base_url: `http://127.0.0.1:${upstreamPort}/v1` }],
    models: {
      [benchModel]: {
        targets: [
          { server: 'bench', model: 'bench-a', price: { input: 1, output: 2 } },
          { server: 'bench', model: 'bench-b', price: { input: 1, output: 2 } },
        ],
      },
    },
  }
}

function startNginx(port: number, { folder, upstreamPort }: Bench): Running {
  const config = join(folder, 'nginx.conf')
  writeFileSync(config, nginxConfig(port, folder, upstreamPort))
  // The name of a log that is not there keeps it from the one of the system.
  const log = join(folder, 'nginx.log')
  return start([nginxPath() ?? 'nginx', '-p', folder, '-e', log, '-c', config], { log })
}

function nginxConfig(port: number, folder: string, upstreamPort: number): string {
  // Started by root, the worker would become a user who may not write to the folder.
  const user = process.getuid?.() === 0 ? 'user root;' : ''
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
  return `
${user}
worker_processes 1;
worker_rlimit_nofile 20000;
daemon off;
pid ${folder}/nginx.pid;
events { worker_connections 16384; }
http {
  access_log off;
  ${temporary.map(kind => `${kind}_temp_path ${folder}/${kind};`).join('\n  ')}
  keepalive_requests 1000000000;
  upstream model { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://model;
      proxy_http_version 1.1;
      proxy_set_header connection "";
      proxy_buffering off;
    }
  }
}
`
}

function nginxPath(): string | null {
  return Bun.which('nginx') ?? ['/usr/sbin/nginx', '/usr/local/sbin/nginx'].find(path => existsSync(path)) ?? null
}
