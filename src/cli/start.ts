import { ConfigError, formatProblem } from '#config/problems.ts'
import { needsRestart } from '#config/reload.ts'
import { watchFiles } from '#config/watch.ts'
import { GatewayError } from '#core/errors.ts'
import { createGateway, type Gateway } from '#src/index.ts'
import { CannotListen, type Listener, listen, PortTaken } from '#src/server.ts'
import { banner, firstKeyLines, noFirstKeyLine, reportLines } from './banner.ts'
import { drainOnSignal } from './drain.ts'
import { serveMetrics } from './metrics-port.ts'
import { type Options, parseOptions, type Settled, settle } from './options.ts'
import { EXIT, fail } from './output.ts'
import { write } from './sink.ts'
import { readTls, TlsUnusable, tlsFiles, tlsRenewal } from './tls.ts'

/** Settings of the runtime that would send secrets to the log or take the safety off TLS. */
const REFUSED: Readonly<Record<string, RegExp>> = { BUN_CONFIG_VERBOSE_FETCH: /./, NODE_TLS_REJECT_UNAUTHORIZED: /^0$/ }

/** Starts the gateway and serves until it is told to stop. */
export async function start(args: readonly string[]): Promise<number> {
  for (const [name, bad] of Object.entries(REFUSED)) {
    if (bad.test(process.env[name] ?? ''))
      return fail(`${name} is set; unset it: it is not safe for a gateway`, EXIT.config)
  }
  let options: Options
  try {
    options = parseOptions(args)
  } catch (thrown) {
    return fail(`${thrown instanceof Error ? thrown.message : String(thrown)}. Try: citadel help`, EXIT.usage)
  }
  try {
    const settled = await settle(options)
    return await run(options, settled)
  } catch (thrown) {
    if (thrown instanceof ConfigError) return fail(`the configuration is wrong:\n${thrown.format()}`, EXIT.config)
    if (thrown instanceof PortTaken) return fail(portAdvice(thrown), EXIT.unavailable)
    if (thrown instanceof TlsUnusable) return fail(thrown.message, EXIT.config)
    if (thrown instanceof CannotListen) return fail(thrown.message, EXIT.unavailable)
    throw thrown
  }
}

async function run(options: Options, settled: Settled): Promise<number> {
  const { config } = settled
  const { service } = config
  let listener: Listener | null = null
  let renewTls: ReturnType<typeof tlsRenewal> = () => {}
  const reload = () => reloadOnce(options, settled, { gateway, renewTls })
  const gateway = createGateway(config, {
    env: settled.env,
    write,
    pretty: process.stdout.isTTY === true,
    origins: settled.origins,
    reload,
    own: () => (listener === null ? null : { host: service.host, port: listener.port }),
  })
  // One stray rejection must not end every stream that is open.
  process.on('unhandledRejection', reason => gateway.fail('unhandled rejection', reason))
  process.on('uncaughtException', error => gateway.fail('uncaught exception', error))
  listener = listen({
    host: service.host,
    port: service.port,
    keepAliveSeconds: service.keep_alive / 1000,
    tls: service.tls === null ? null : readTls(service.tls),
    handle: gateway.fetch,
  })
  const readyMs = Math.round(performance.now())
  const metricsListener = serveMetrics(config.monitoring.prometheus_port, service.host, gateway)
  renewTls = tlsRenewal(config, listener)
  const stopReloading = reloadOnChange(settled, reload)
  // Before the first line: whoever reads it may send a signal at once.
  drainOnSignal({
    gateway,
    listener,
    config,
    before: () => {
      stopReloading()
      metricsListener?.stop()
    },
  })
  const found = await gateway.found
  console.error(banner({ listener, readyMs, found, settled, authMode: gateway.authMode() }))
  void sayFirstKey(gateway)
  void gateway.later.then(report => {
    for (const line of report === null ? [] : reportLines(report)) console.error(line)
  })
  return EXIT.ok
}

/** Prints the key with which an operator begins: once, at the first start, and never again. */
async function sayFirstKey(gateway: Gateway): Promise<void> {
  try {
    const first = await gateway.firstKey()
    if (first !== null) console.error(firstKeyLines(first.key))
  } catch {
    console.error(noFirstKeyLine())
  }
}

function portAdvice({ port, nextFree }: PortTaken): string {
  const other =
    nextFree === null ? 'choose another one with --port' : `${nextFree} is free: citadel start --port ${nextFree}`
  return `port ${port} is already in use; ${other}`
}

/** Reads the configuration again and hands it over; one that is wrong changes nothing.
 *
 * @throws GatewayError `invalid_request` with everything that is wrong. */
async function reloadOnce(
  options: Options,
  first: Settled,
  { gateway, renewTls }: { readonly gateway: Gateway; readonly renewTls: ReturnType<typeof tlsRenewal> },
) {
  try {
    const { config, origins, warnings } = await settle(options)
    const restart = needsRestart(first.config, config)
    for (const warning of warnings) gateway.warn(warning)
    renewTls(config)
    gateway.reload(config, origins)
    if (restart.length > 0) gateway.warn(`changed, but taken over only by a restart: ${restart.join(', ')}`)
    return { warnings, restart }
  } catch (thrown) {
    const problems = thrown instanceof ConfigError ? thrown.problems : []
    gateway.reloadFailed(thrown instanceof ConfigError ? thrown.format() : String(thrown))
    const details = problems.map(problem => ({ path: problem.path, message: formatProblem(problem) }))
    throw new GatewayError('invalid_request', 'The configuration is wrong; nothing was changed.', {
      details,
      cause: thrown,
    })
  }
}

/** Reloads when a file has changed or on SIGHUP; what went wrong is in the log. */
function reloadOnChange(first: Settled, reload: () => Promise<unknown>): () => void {
  const tryToReload = () => void reload().catch(() => {})
  const watcher = watchFiles([...first.files, ...tlsFiles(first.config)], tryToReload)
  process.on('SIGHUP', tryToReload)
  return () => watcher.close()
}
