import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { figure } from './report.ts'
import type { Run } from './run.ts'
import { type SubjectName, startSubject } from './subjects.ts'

/** Runs one subject under the profiler of the runtime, with plain and streamed load, and says where the profile is.
 *
 * @param folder Where the profile is written; it outlives the run. */
export async function profileSubject(run: Run, name: SubjectName, folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true })
  const subject = await startSubject(name, run.bench, { runtimeArguments: ['--cpu-prof', `--cpu-prof-dir=${folder}`] })
  const lines: string[] = []
  try {
    await run.pace({ delayMs: 0, chunkMs: 3, chunks: 50 })
    for (const kind of ['plain', 'stream'] as const) {
      run.progress(`profiling ${name}, ${kind}`)
      const result = await run.generator.run(subject, { clients: 32, kind, seconds: run.quick ? 2 : 6 })
      const units = kind === 'plain' ? result.requests : result.events
      lines.push(`${kind}: ${figure(result.cpuMicros / units)} µs each under the profiler, ${units} measured`)
    }
  } finally {
    await subject.stop()
  }
  const files = readdirSync(folder).filter(file => file.endsWith('.cpuprofile'))
  if (files.length === 0) throw new Error(`no profile in ${folder}: the process has to end by itself on SIGTERM`)
  return [...lines, ...files.map(file => join(folder, file)), ''].join('\n')
}
