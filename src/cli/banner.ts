import { isLoopback } from '#src/compose-edge.ts'
import type { FleetReport } from '#src/report.ts'
import type { Listener } from '#src/server.ts'
import { VERSION } from '#src/version.ts'
import type { Settled } from './options.ts'

/** What is reached as `localhost`. */
const LOCAL: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1', '0.0.0.0', '::'])

const KEY = "-H 'authorization: Bearer YOUR-KEY' "

/** The first lines of a start: what runs where, what was found, what was not and why, and what to type next. */
export function banner(options: {
  readonly listener: Listener
  readonly readyMs: number
  readonly found: FleetReport
  readonly settled: Settled
}): string {
  const { listener, found, settled } = options
  const address = LOCAL.has(settled.config.service.host) ? `http://localhost:${listener.port}` : listener.url
  const from =
    settled.configFiles.length > 0 ? settled.configFiles.join(', ') : 'no configuration file: looked around instead'
  const lines = [
    `citadel-gateway ${VERSION} listens on ${listener.url}  (ready in ${options.readyMs} ms, Bun ${Bun.version})`,
    row('config', from),
    ...reportLines(found),
    ...settled.warnings.map(warning => row('note', warning)),
    ...(isExposed(settled)
      ? [
          row(
            'WARNING',
            `anyone who reaches ${settled.config.service.host} can use every model: no key is configured. Set auth.keys, or listen on 127.0.0.1.`,
          ),
        ]
      : []),
    row('docs', `${address}/docs`),
    row('try', `curl -N ${address}/v1/chat/completions ${needsKey(settled) ? KEY : ''}-d '${tryBody(found)}'`),
  ]
  return lines.join('\n')
}

/** One line for each thing that was found or not. */
export function reportLines(report: FleetReport): string[] {
  return report.lines.map(({ kind, text }) => row(kind, text))
}

function row(label: string, text: string): string {
  return `  ${label.padEnd(9)}${text}`
}

function tryBody(found: FleetReport): string {
  return JSON.stringify({
    model: found.firstModel ?? 'auto',
    stream: true,
    messages: [{ role: 'user', content: 'Hello!' }],
  }).replaceAll("'", "'\\''")
}

function needsKey({ config: { auth } }: Settled): boolean {
  return auth.mode === 'required' || (auth.mode === 'auto' && auth.keys.length + auth.admin_keys.length > 0)
}

function isExposed({ config }: Settled): boolean {
  if (isLoopback(config.service.host)) return false
  const open =
    config.auth.mode === 'none' ||
    config.auth.mode === 'optional' ||
    (config.auth.mode === 'auto' && config.auth.keys.length + config.auth.admin_keys.length === 0)
  return open
}
