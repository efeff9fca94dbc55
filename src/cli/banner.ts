import type { AuthMode } from '#access/keys.ts'
import { isLoopback } from '#src/compose/edge.ts'
import type { FleetReport } from '#src/compose/report.ts'
import type { Listener } from '#src/server.ts'
import { VERSION } from '#src/version.ts'
import type { Settled } from './options.ts'

/** The addresses that are shown as `localhost`. */
const LOCAL: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '::1', '0.0.0.0', '::'])

const KEY = "-H 'authorization: Bearer YOUR-KEY' "

/** The first lines of a start: what runs where, what was found, what was not and why, and what to type next. */
export function banner(options: {
  readonly listener: Pick<Listener, 'url' | 'port'>
  /** Processes on the port. */
  readonly workers?: number
  readonly readyMs: number
  readonly found: FleetReport
  readonly settled: Settled
  readonly authMode: AuthMode
}): string {
  const { listener, found, settled, authMode, workers = 1 } = options
  const address = LOCAL.has(settled.config.service.host)
    ? `${new URL(listener.url).protocol}//localhost:${listener.port}`
    : listener.url
  const from = settled.configFiles.length > 0 ? settled.configFiles.join(', ') : withoutFile(settled)
  const lines = [
    `citadel-gateway ${VERSION} listens on ${listener.url}  (ready in ${options.readyMs} ms, Bun ${Bun.version})`,
    row('config', from),
    ...(workers > 1 ? [row('workers', `${workers} processes share the port`)] : []),
    ...reportLines(found),
    ...settled.warnings.map(warning => row('note', warning)),
    ...(isExposed(settled, authMode)
      ? [
          row(
            'WARNING',
            `anyone who reaches ${settled.config.service.host} can use every model: no key is configured. Set auth.keys, or listen on 127.0.0.1.`,
          ),
        ]
      : []),
    row('docs', `${address}/docs`),
    row('try', `curl -N ${address}/v1/chat/completions ${authMode === 'required' ? KEY : ''}-d '${tryBody(found)}'`),
  ]
  return lines.join('\n')
}

/** The text that is shown in place of a configuration file. */
function withoutFile({ config }: Settled): string {
  const isEmpty = config.servers.length === 0 && Object.keys(config.models).length === 0
  return `no configuration file: ${isEmpty ? 'looked around instead' : 'what the variables of the environment say'}`
}

/** One line for each thing that was found or not. */
export function reportLines(report: FleetReport): string[] {
  return report.lines.map(({ kind, text }) => row(kind, text))
}

/** The lines that show a key for the only time. */
export function firstKeyLines(key: string): string {
  return [
    row('admin', key),
    row('', 'This key opens /management. It was made at this first start and is shown only now: keep it.'),
  ].join('\n')
}

/** The line that says why the management has no key. */
export function noFirstKeyLine(): string {
  return row(
    'note',
    'the database cannot be written, so no key for /management was made: set auth.admin_keys, service.data_dir or database.url',
  )
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

function isExposed({ config }: Settled, authMode: AuthMode): boolean {
  return authMode !== 'required' && !isLoopback(config.service.host)
}
