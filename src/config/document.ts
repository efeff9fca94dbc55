import type { Document, LineCounter } from 'yaml'
import { othersTurn } from '#lib/turn.ts'

type Yaml = typeof import('yaml')

/** How many lexemes are read in one turn of the event loop: about ten milliseconds. */
const LEXEMES_MAX = 2000

/** Reads a document, as the parser's own `parseDocument` does, but so that requests go on in between: a configuration of
 * hundreds of servers takes half a second, and it is read again while the gateway serves.
 *
 * @throws RangeError for a file that is nested too deeply. */
export async function readYaml(yaml: Yaml, text: string, lineCounter: LineCounter): Promise<Document.Parsed> {
  const tokens = await tokensOf(yaml, text, lineCounter)
  // Duplicate keys are found by the reader, where the path to them is known.
  const composer = new yaml.Composer({ uniqueKeys: false })
  const [document, second] = [...composer.compose(tokens, true, text.length)]
  if (document === undefined) throw new TypeError('the parser gives a document even for an empty text')
  if (second !== undefined) {
    const [start, end] = second.range
    document.errors.push(new yaml.YAMLParseError([start, end], 'MULTIPLE_DOCS', 'there is more than one document'))
  }
  return document
}

async function tokensOf(yaml: Yaml, text: string, lineCounter: LineCounter) {
  const parser = new yaml.Parser(lineCounter.addNewLine)
  lineCounter.addNewLine(0)
  const tokens = []
  let lexemes = 0
  for (const lexeme of new yaml.Lexer().lex(text)) {
    tokens.push(...parser.next(lexeme))
    if (++lexemes % LEXEMES_MAX === 0) await othersTurn()
  }
  tokens.push(...parser.end())
  return tokens
}
