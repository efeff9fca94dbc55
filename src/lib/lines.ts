/** How many pieces of one line are kept before they are joined: each piece that is kept costs some memory. */
const PIECES_MAX = 256

/** Creates a splitter of newline-delimited text: any split of the text, blank lines left out.
 *
 * @param charactersMax The longest line; a longer one throws a `RangeError`. */
export function createLineSplitter(charactersMax = 1024 * 1024): { push(text: string): string[]; end(): string[] } {
  let rest = ''
  let pieces = 0
  return {
    push(text) {
      // A long line that arrives in small pieces is not searched again for each piece.
      if (rest !== '' && pieces < PIECES_MAX && !text.includes('\n')) {
        rest += text
        pieces++
        if (rest.length > charactersMax) throw tooLong(charactersMax)
        return []
      }
      pieces = 0
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      if (rest.length > charactersMax) throw tooLong(charactersMax)
      return lines.filter(line => line.trim() !== '')
    },
    end() {
      return rest.trim() === '' ? [] : [rest]
    },
  }
}

function tooLong(charactersMax: number): RangeError {
  return new RangeError(`a line is longer than ${charactersMax} characters`)
}
