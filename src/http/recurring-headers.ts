/** Creates what turns the headers of an answer into those of a `Response`.
 *
 * Answers that follow one another mostly have the same headers but for an id and a count. The runtime takes a microsecond
 * to make eight headers of an object, and a third of that to change two of those that were made last and to copy them,
 * which `Response` does.
 *
 * @returns The headers to make one `Response` of, before the next call.
 * @throws TypeError for a value that no header can have. */
export function createRecurringHeaders(): (headers: Readonly<Record<string, string>>) => Headers {
  let made = new Headers()
  let names: readonly string[] = []
  let values: (string | undefined)[] = []

  function anew(headers: Readonly<Record<string, string>>, wanted: readonly string[]): Headers {
    // Nothing is known until they are all made: a value may be refused.
    names = []
    made = new Headers(headers)
    values = wanted.map(name => headers[name])
    names = wanted
    return made
  }

  return headers => {
    const wanted = Object.keys(headers)
    if (wanted.length !== names.length) return anew(headers, wanted)
    for (let index = 0; index < wanted.length; index++) {
      const name = wanted[index]
      if (name === undefined || name !== names[index]) return anew(headers, wanted)
      const value = headers[name]
      if (value === undefined || value === values[index]) continue
      made.set(name, value)
      values[index] = value
    }
    return made
  }
}
