import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { release } from 'node:os'
import { join } from 'node:path'
import { dataDir } from '#config/places.ts'
import { VERSION } from '#src/version.ts'
import packageJson from '../../../package.json' with { type: 'json' }
import type { Settled } from '../options.ts'
import { readTls } from '../tls.ts'
import { about, type Finding, messageOf } from './finding.ts'

/** How many file descriptors a stream needs: one for its client and one for its server. */
const DESCRIPTORS_A_STREAM = 2
const DESCRIPTORS = { least: 1024, good: 8192 }
const MB = 1024 ** 2
const GB = 1024 ** 3
/** What is written to see whether a disk takes it: more than a file system keeps beside a name. */
const TRIAL_BYTES = 64 * 1024
const DAY_MS = 86_400_000
const CERTIFICATE_DAYS = 14

/** Checks what the gateway runs on: versions, limits, ports, folders, certificates. */
export async function checkMachine(settled: Settled): Promise<readonly Finding[]> {
  const { service, monitoring } = settled.config
  const { host } = service
  const scheme = service.tls === null ? 'http' : 'https'
  return [
    versions(),
    fileLimit(),
    await port('port', { host, number: service.port, setting: 'service.port, --port', scheme, isOurs: isGateway }),
    ...(monitoring.prometheus_port === null ? [] : [await metricsPort(host, monitoring.prometheus_port)]),
    await dataFolder(settled),
    ...(service.tls === null ? [] : [certificate(service.tls)]),
  ]
}

function versions(): Finding {
  const wanted = packageJson.engines.bun
  const found = `citadel-gateway ${VERSION}, Bun ${Bun.version}, ${process.platform} ${release()}`
  const { ok, warning } = about('versions')
  return Bun.version === wanted
    ? ok(found)
    : warning(found, `The gateway is tested on Bun ${wanted}: install that one.`)
}

function fileLimit(): Finding {
  const { ok, warning, failed, skipped } = about('file limit')
  const limit = softLimit()
  if (limit === null) return skipped('this system does not tell it')
  const streams = Math.floor(limit / DESCRIPTORS_A_STREAM)
  const found = `${limit} open files, for about ${streams} streams at once`
  const remedy =
    'Raise it: LimitNOFILE=65536 in the systemd unit, --ulimit nofile=65536:65536 for Docker, or `ulimit -n 65536`.'
  if (limit < DESCRIPTORS.least) return failed(found, remedy)
  return limit < DESCRIPTORS.good ? warning(found, remedy) : ok(found)
}

/** The soft limit on open files of this process, read from `/proc` because the runtime has no call for it; `null` where
 * it cannot be read. */
function softLimit(): number | null {
  try {
    const [, soft] = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === 'unlimited' ? Number.MAX_SAFE_INTEGER : Number(soft)
  } catch {
    return null
  }
}

/** A port to listen on. */
interface Port {
  readonly host: string
  readonly number: number
  /** The key of the configuration. */
  readonly setting: string
  readonly scheme: 'http' | 'https'
  /** Whether a running gateway answers at the address.
   *
   * @throws Error when nothing answers. */
  readonly isOurs: (url: string) => Promise<boolean>
}

function metricsPort(host: string, number: number): Promise<Finding> {
  const setting = 'monitoring.prometheus_port'
  return port('metrics port', { host, number, setting, scheme: 'http', isOurs: hasOurMetrics })
}

async function port(check: string, { host, number, setting, scheme, isOurs }: Port): Promise<Finding> {
  const { ok, failed } = about(check)
  const place = `${host}:${number}`
  try {
    await listenOnce(host, number)
    return ok(`${place} is free`)
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : null
    const local = host === '0.0.0.0' || host === '::' ? 'localhost' : host
    const answers = () => isOurs(`${scheme}://${local}:${number}`).catch(() => false)
    if (code === 'EADDRINUSE' && (await answers())) return ok(`a gateway listens on ${place}`)
    if (code === 'EADDRINUSE') {
      return failed(
        `${place} is taken by another program`,
        `Find it with \`ss -ltnp 'sport = :${number}'\`, or choose another port: ${setting}.`,
      )
    }
    if (code === 'EACCES') {
      return failed(
        `${place} may not be used by this user`,
        'Choose a port from 1024 up and put a proxy in front, or give the unit CAP_NET_BIND_SERVICE.',
      )
    }
    return failed(
      `${place} cannot be listened on: ${messageOf(thrown)}`,
      'Set service.host to an address of this machine, 127.0.0.1 or 0.0.0.0.',
    )
  }
}

function listenOnce(host: string, number: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(number, host, () => server.close(() => resolve()))
  })
}

async function isGateway(url: string): Promise<boolean> {
  const { headers, status } = await look(`${url}/v1/models`)
  return headers.has('x-citadel-gateway') || (status === 401 && headers.has('x-request-id'))
}

async function hasOurMetrics(url: string): Promise<boolean> {
  return (await (await look(`${url}/metrics`)).text()).includes('gateway_build_info')
}

/** Requests an address of this machine. The certificate is not checked, because it is for the public name. */
function look(url: string): Promise<Response> {
  return fetch(url, { signal: AbortSignal.timeout(2000), tls: { rejectUnauthorized: false } })
}

async function dataFolder({ config, env }: Settled): Promise<Finding> {
  const { ok, warning, failed } = about('data folder')
  const folder = dataDir(config, env)
  if (folder === null) {
    return warning('there is no place for it: keys, usage and audit stay in memory', 'Set service.data_dir, or HOME.')
  }
  const makeRoom = 'Make room on its disk: the spool and the database grow with every call.'
  try {
    await tryToKeep(folder)
  } catch (thrown) {
    const message = messageOf(thrown)
    return failed(
      `${folder} cannot be written: ${message}`,
      /ENOSPC|EDQUOT/.test(message)
        ? makeRoom
        : 'Give it to the user that runs the gateway (`chown -R`), or set service.data_dir to another folder.',
    )
  }
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const found = `${folder} can be written; ${free < GB ? `${Math.floor(free / MB)} MB` : `${Math.floor(free / GB)} GB`} are free`
  return free < GB ? warning(found, makeRoom) : ok(found)
}

/** Keeps something in a folder and takes it away again. A full disk mostly still takes a folder, but nothing in it.
 *
 * @throws Error when the folder does not take it. */
async function tryToKeep(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const place = await mkdtemp(join(folder, 'doctor-'))
  try {
    await writeFile(join(place, 'trial'), new Uint8Array(TRIAL_BYTES))
  } finally {
    await rm(place, { recursive: true })
  }
}

function certificate(files: NonNullable<Settled['config']['service']['tls']>): Finding {
  const { ok, warning, failed } = about('certificate', files.cert_file)
  try {
    const end = Date.parse(new X509Certificate(readTls(files).cert).validTo)
    const days = Math.floor((end - Date.now()) / DAY_MS)
    const renew = 'Renew it; the gateway takes the new files over without a restart.'
    if (days < 0) return failed(`expired on ${new Date(end).toISOString()}`, renew)
    return days < CERTIFICATE_DAYS ? warning(`good for ${days} days more`, renew) : ok(`good for ${days} days more`)
  } catch (thrown) {
    return failed(
      messageOf(thrown),
      'Give service.tls a certificate and its own key, both PEM, that this user may read.',
    )
  }
}
