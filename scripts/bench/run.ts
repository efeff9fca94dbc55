import type { Generator } from './generator.ts'
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
