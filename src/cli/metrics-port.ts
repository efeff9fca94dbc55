import type { Gateway } from '#src/index.ts'

/** Serves the metrics, and nothing else, on a port of their own, for a scraper that has no key.
 *
 * A port that is taken is a warning: the metrics are still on the main one. */
export function serveMetrics(
  port: number | null,
  host: string,
  gateway: Gateway,
  shared: boolean,
): { stop(): void } | null {
  if (port === null) return null
  try {
    const server = Bun.serve({
      hostname: host,
      port,
      // Whichever worker answers, it shows the metrics of all workers.
      reusePort: shared,
      development: false,
      async fetch(request) {
        if (new URL(request.url).pathname !== '/metrics') return new Response('see /metrics\n', { status: 404 })
        const { text, contentType } = await gateway.metrics()
        return new Response(text, { headers: { 'content-type': contentType } })
      },
    })
    return { stop: () => void server.stop(true) }
  } catch {
    gateway.warn(metricsPortTaken(port))
    return null
  }
}

/** The warning for a port that another process has. */
export function metricsPortTaken(port: number): string {
  return `monitoring.prometheus_port: port ${port} is in use, so the metrics are only at /metrics of the gateway`
}
