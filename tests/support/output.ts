/** A program that was run to its end. */
export interface Outcome {
  readonly status: number
  readonly output: string
  readonly errors: string
}

/** What a program wrote, once it has ended. */
export async function outcomeOf(
  child: Bun.Subprocess<'ignore' | Uint8Array<ArrayBuffer>, 'pipe', 'pipe'>,
): Promise<Outcome> {
  const [output, errors, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { status, output, errors }
}
