import { join } from 'node:path'
import type { LoadPlan, LoadResult } from './load-plan.ts'
import { benchKey, benchModel, type Subject } from './subjects.ts'

/** What a scenario asks of the load generator; the rest is the same for all. */
export type LoadOptions = Pick<LoadPlan, 'clients' | 'kind' | 'seconds'> & Partial<LoadPlan>

/** The load generator's process. */
export interface Generator {
  run(subject: Subject, options: LoadOptions): Promise<LoadResult>
  stop(): Promise<void>
}

/** Starts the load generator in a process of its own, which stays warm over the whole run. */
export function startGenerator(): Generator {
  const child = Bun.spawn([process.execPath, join(import.meta.dir, 'load.ts')], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'inherit',
  })
  const lines = readLines(child.stdout)
  return {
    async run(subject, options) {
      const plan: LoadPlan = {
        port: subject.port,
        pids: subject.pid === null ? [] : [subject.pid],
        model: benchModel,
        key: benchKey,
        promptBytes: 500,
        same: false,
        pauseMs: 0,
        warmSeconds: 0.15,
        rampMs: 0,
        ...options,
      }
      child.stdin.write(`${JSON.stringify(plan)}\n`)
      await child.stdin.flush()
      const { value, done } = await lines.next()
      if (done) throw new Error('the load generator has ended')
      return JSON.parse(value, (_, field) => (field === null ? Number.NaN : field))
    },
    async stop() {
      child.kill('SIGTERM')
      await child.exited
    },
  }
}

async function* readLines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const part of stream) {
    text += decoder.decode(part, { stream: true })
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    yield* lines
  }
}
