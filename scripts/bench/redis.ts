import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { freePort, type Running, start } from './process.ts'
import type { Run } from './run.ts'

const REDIS = '/usr/bin/redis-server'

/** Starts a Redis of this run's own; `null` where it is not installed. */
export async function startRedis({ bench }: Run): Promise<(Running & { readonly url: string }) | null> {
  if (!existsSync(REDIS)) return null
  const port = freePort()
  const running = start([REDIS, '--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'], {
    log: join(bench.folder, 'redis.log'),
    cwd: bench.folder,
  })
  bench.running.add(running)
  const stop = async () => {
    await running.stop()
    bench.running.delete(running)
  }
  return { pid: running.pid, stop, url: `redis://127.0.0.1:${port}` }
}
