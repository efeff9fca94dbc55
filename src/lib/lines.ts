/** Creates a splitter of newline-delimited text: any split of the text, blank lines left out.
 *
 * @param charactersMax The longest line; a longer one throws a `RangeError`. */
export function createLineSplitter(charactersMax = 1024 * 1024): { push(text: string): string[]; end(): string[] } {
  let rest = ''
  return {
    push(text) {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > charactersMax) throw new RangeError(`a line is longer than ${charactersMax} characters`)
      return lines.filter(line => line.trim() !== '')
    },
    end() {
      const last = rest
      rest = ''
      return last.trim() === '' ? [] : [last]
    },
  }
}
