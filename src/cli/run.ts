import { needsRestart } from '#config/reload.ts'
import { watchFiles } from '#config/watch.ts'
import type { Gateway } from '#src/index.ts'
import { banner, firstKeyLines, noFirstKeyLine, reportLines } from './banner.ts'
import { createConfigured } from './configured.ts'
import { drainOnSignal } from './drain.ts'
import type { Options, Settled } from './options.ts'
import { EXIT, say } from './output.ts'
import { problemsOf, reasonOf, reloadRefused, restartNote } from './reload.ts'
import { type Serving, serve } from './serve.ts'
import { ignore } from './signals.ts'
import { write } from './sink.ts'

/** Serves in this process until it is told to stop.
 *
 * @throws TlsUnusable, PortTaken, CannotListen */
export async function run(options: Options, settled: Settled): Promise<number> {
  let serving: Serving | null = null
  let stopReloading: () => void = () => {}
  const configured = createConfigured(options, settled)

  /** Reads the configuration again and hands it over; one that is wrong changes nothing.
   *
   * @throws GatewayError `invalid_request` with everything that is wrong. */
  async function reload() {
    try {
      const { warnings, config } = await configured.read(next => {
        for (const warning of next.warnings) serving?.gateway.warn(warning)
        serving?.take(next)
      })
      const restart = needsRestart(settled.config, config)
      for (const note of restartNote(restart)) serving?.gateway.warn(note)
      return { warnings, restart }
    } catch (thrown) {
      serving?.gateway.reloadFailed(reasonOf(thrown))
      throw reloadRefused(problemsOf(thrown), thrown)
    }
  }

  serving = await serve(settled, { write, reload, before: () => stopReloading() })
  const readyMs = Math.round(performance.now())
  const { gateway, listener } = serving
  stopReloading = reloadOnChange(configured.files, reload)
  // Before the first line is printed, because a process that waits for that line may send a signal at once.
  drainOnSignal(serving.drain, settled.config)
  // On a terminal the banner shows the address.
  if (process.stdout.isTTY !== true) gateway.started(listener.url)
  const found = await gateway.found
  say(banner({ listener, readyMs, found, settled, authMode: gateway.authMode() }))
  void sayFirstKey(gateway)
  void sayLater(gateway)
  return EXIT.ok
}

/** Prints the key with which an operator begins: once, at the first start, and never again. */
export async function sayFirstKey(gateway: Gateway): Promise<void> {
  try {
    const first = await gateway.firstKey()
    if (first !== null) say(firstKeyLines(first.key))
  } catch {
    say(noFirstKeyLine())
  }
}

/** Prints what was found after the banner was printed. */
export async function sayLater(gateway: Gateway): Promise<void> {
  const report = await gateway.later
  for (const line of report === null ? [] : reportLines(report)) say(line)
}

/** Reloads when a file has changed or on a signal; what went wrong is in the log. */
function reloadOnChange(files: () => readonly string[], reload: () => Promise<unknown>): () => void {
  const tryToReload = () => void reload().catch(() => {})
  const watcher = watchFiles(files, tryToReload)
  // SIGUSR2 restarts workers where there are several; a process that serves alone must not be ended by it.
  for (const signal of ['SIGHUP', 'SIGUSR2'] as const) process.on(signal, tryToReload)
  ignore('SIGUSR1')
  return () => watcher.close()
}
