#!/usr/bin/env bun
/** Several gateways on one Redis under ten times the load that their limits admit: how much of burst + rate × t passes,
 * in requests, and in tokens as they were really used.
 *
 * `bun scripts/limits.ts [seconds] [processes]` */
import { startLiveGateway } from '#tests/support/live-gateway.ts'
import { startRedis } from '#tests/support/redis.ts'

const [seconds = 120, processes = 4] = process.argv.slice(2).map(Number)
if (!(seconds > 0 && Number.isInteger(processes) && processes > 0)) {
  console.error('Usage: bun scripts/limits.ts [seconds] [processes]')
  process.exit(2)
}
const OVERLOAD = 10
const TICK_MS = 20
const MS_PER_MINUTE = 60_000
/** What one call is let have, and what the demonstration model usually makes of it. */
const TOKENS = { max: 40, usual: 26 }

/** A limit, and how fast it is asked for. */
interface Subject {
  readonly name: 'requests' | 'tokens'
  readonly key: string
  readonly perMinute: number
  readonly burst: number
  /** Calls a second. */
  readonly load: number
}

interface Seen {
  admitted: number
  tokens: number
  refused: number
  failed: number
  firstAt: number
  lastAt: number
}

const requests: Subject = {
  ...{ name: 'requests', key: 'sk-limited-by-requests', perMinute: 1800, burst: 60 },
  load: (OVERLOAD * 1800) / 60,
}
const tokens: Subject = {
  ...{ name: 'tokens', key: 'sk-limited-by-tokens', perMinute: 36_000, burst: 36_000 },
  load: (OVERLOAD * 36_000) / 60 / TOKENS.usual,
}

/** Asks at a steady rate, each gateway in turn, whether or not answers have come. */
async function overload(urls: readonly string[], { key, load }: Subject): Promise<Seen> {
  const seen: Seen = { admitted: 0, tokens: 0, refused: 0, failed: 0, firstAt: Infinity, lastAt: 0 }
  const underWay = new Set<Promise<void>>()
  const since = performance.now()
  let sent = 0
  while (performance.now() - since < seconds * 1000) {
    const due = ((performance.now() - since) / 1000) * load
    for (; sent < due; sent++) {
      const call = ask(urls[sent % urls.length] ?? '', key, seen).finally(() => underWay.delete(call))
      underWay.add(call)
    }
    await Bun.sleep(TICK_MS)
  }
  await Promise.all(underWay)
  return seen
}

async function ask(url: string, key: string, seen: Seen): Promise<void> {
  const sentAt = performance.now()
  try {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'citadel-demo',
        max_tokens: TOKENS.max,
        messages: [{ role: 'user', content: 'How much of this passes?' }],
      }),
    })
    const { usage } = (await answer.json()) as { readonly usage?: { readonly total_tokens: number } }
    if (answer.status === 200) {
      seen.admitted++
      seen.tokens += usage?.total_tokens ?? 0
      seen.firstAt = Math.min(seen.firstAt, sentAt)
      seen.lastAt = Math.max(seen.lastAt, performance.now())
    } else if (answer.status === 429) seen.refused++
    else seen.failed++
  } catch {
    seen.failed++
  }
}

function report({ name, perMinute, burst }: Subject, seen: Seen): boolean {
  const time = seen.lastAt - seen.firstAt
  const promised = burst + (perMinute * time) / MS_PER_MINUTE
  const passed = name === 'requests' ? seen.admitted : seen.tokens
  const share = (100 * passed) / promised
  const asked = seen.admitted + seen.refused + seen.failed
  console.log(
    `${name.padEnd(9)} ${passed} of ${promised.toFixed(0)} in ${(time / 1000).toFixed(1)} s: ${share.toFixed(2)} %` +
      `   (${asked} calls, ${seen.refused} refused, ${seen.failed} failed)`,
  )
  return share >= 98 && share <= 100 && seen.failed === 0
}

await using redis = await startRedis()
const keys = [
  { name: 'requests', key: requests.key, limits: { requests_per_minute: requests.perMinute, burst: requests.burst } },
  { name: 'tokens', key: tokens.key, limits: { requests_per_minute: 0, tokens_per_minute: tokens.perMinute } },
]
const configuration = JSON.stringify({
  gateway: { demo: true, discover: false },
  auth: { keys },
  limits: { global: { requests_per_minute: 0 }, processes },
  redis: { url: redis.url },
})
// Stopped at the end, also when one of them did not start.
await using gateways = new AsyncDisposableStack()
const urls: string[] = []
for (let at = 0; at < processes; at++) {
  const { url, stop } = await startLiveGateway(configuration)
  gateways.defer(stop)
  urls.push(url)
}
console.log(`${processes} processes, ${seconds} s, ${OVERLOAD} times the limit`)
const seen = await Promise.all([overload(urls, requests), overload(urls, tokens)])
const good = [report(requests, seen[0]), report(tokens, seen[1])]
process.exitCode = good.every(Boolean) ? 0 : 1
