import type { Generator, LoadOptions } from './generator.ts'
import type { Bench, Subject, SubjectName } from './subjects.ts'

/** What a scenario works with. */
export interface Run {
  readonly bench: Bench
  readonly generator: Generator
  /** Running subjects, in the order of the tables. */
  readonly subjects: readonly Subject[]
  /** Fewer and shorter rounds. */
  readonly quick: boolean
  /** Sets how the model server answers from now on. */
  pace(settings: { delayMs?: number; chunkMs?: number; chunks?: number; groups?: number }): Promise<void>
  /** Streams that the model server has open. */
  openStreams(): Promise<number>
  /** Says what is being done. */
  progress(text: string): void
}

/** One measured value by subject. */
export type Row = ReadonlyMap<SubjectName, number>

/** Measures each subject in turn, round after round, so that a busy moment of the machine meets all of them. */
export async function interleaved<T>(
  subjects: readonly Subject[],
  rounds: number,
  measure: (subject: Subject) => Promise<T>,
): Promise<Map<SubjectName, T[]>> {
  const results = new Map<SubjectName, T[]>(subjects.map(subject => [subject.name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const subject of subjects) results.get(subject.name)?.push(await measure(subject))
  }
  return results
}

type Warming = Pick<LoadOptions, 'kind' | 'same'>

/** Lets subjects compile their hot code before anything counts: the runtime compiles a function for good only once it has
 * run some ten thousand times, beside the work, and that takes a third of the processor time of the first seconds.
 *
 * @param load What they are going to do. Streams are short at first, so that there are as many as other requests, and then
 * of the usual length, so that the events in their middle are many, too. */
export async function warmUp(run: Run, subjects: readonly Subject[], load: Warming): Promise<void> {
  run.progress(`warming up: ${load.kind}${load.same ? ', asking the same' : ''}`)
  const seconds = run.quick ? 1 : 12
  for (const chunks of load.kind === 'plain' ? [2] : [2, 50]) {
    await run.pace({ delayMs: 0, chunkMs: 1, chunks, groups: 1 })
    await interleaved(subjects, 1, subject => run.generator.run(subject, { ...load, clients: 32, seconds }))
  }
}
