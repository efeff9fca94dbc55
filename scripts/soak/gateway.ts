import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort, residentBytes, start, untilReady } from '../bench/process.ts'

/** What can be seen of the gateway from outside. */
export interface Sight {
  readonly rssMb: number
  readonly descriptors: number
  /** Places taken at model servers, as the gateway says. */
  readonly inFlight: number
}

/** A gateway in a process of its own. */
export interface SoakGateway {
  readonly url: string
  look(): Promise<Sight>
  stop(): Promise<void>
}

const MAIN = join(import.meta.dir, '../../src/cli/main.ts')
const START_SECONDS = 20

/** Starts a gateway in front of these model servers, on loopback. */
export async function startSoakGateway(ports: readonly number[]): Promise<SoakGateway> {
  const folder = mkdtempSync(join(tmpdir(), 'citadel-soak-'))
  const file = join(folder, 'gateway.yaml')
  writeFileSync(file, configurationOf(ports))
  const port = freePort()
  const child = start([process.execPath, MAIN, 'start', '--port', String(port), '--config', file], {
    cwd: folder,
    log: join(folder, 'output.txt'),
  })
  const url = `http://127.0.0.1:${port}`
  const stop = async () => {
    await child.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  try {
    await untilReady(`${url}/readyz`, {}, START_SECONDS)
  } catch (error) {
    await stop()
    throw error
  }
  return {
    url,
    stop,
    look: async () => ({
      rssMb: residentBytes(child.pid) / 1024 / 1024,
      descriptors: readdirSync(`/proc/${child.pid}/fd`).length,
      inFlight: await inFlightAt(url),
    }),
  }
}

function configurationOf(ports: readonly number[]): string {
  const servers = ports.map((port, index) => ({
    id: `soak-${index + 1}`,
    kind: 'openai_compatible',
    base_url: `http://127.0.0.1:${port}/v1`,
  }))
  // JSON is YAML too.
  return JSON.stringify({
    service: { host: '127.0.0.1', keep_alive: '5s', drain_delay: '0s', drain_timeout: '3s' },
    gateway: { discover: false, demo: false },
    limits: { enabled: false },
    monitoring: { log_level: 'error' },
    servers,
    models: { soak: { targets: servers.map(({ id }) => ({ server: id, model: 'soak' })) } },
  })
}

async function inFlightAt(url: string): Promise<number> {
  const response = await fetch(`${url}/health/detailed`, { headers: { connection: 'close' } })
  const { servers } = (await response.json()) as { readonly servers: readonly { readonly in_flight: number }[] }
  return servers.reduce((sum, server) => sum + server.in_flight, 0)
}
