import type { Document, ErrorCode, LineCounter, Node, Pair, Scalar, YAMLError } from 'yaml'
import { othersTurn } from '#lib/turn.ts'
import { readYaml } from './document.ts'
import type { Environment } from './env.ts'
import { interpolate } from './interpolate.ts'
import type { Problem } from './problems.ts'
import { emptyMap, type Leaf, LOST, type MapTree, type Origin, type Tree } from './tree.ts'

interface Parsed {
  readonly tree: MapTree
  readonly problems: readonly Problem[]
}

/** What reading one document needs at every node. */
interface Reading {
  readonly yaml: typeof import('yaml')
  readonly document: Document.Parsed
  readonly lines: LineCounter
  readonly file: string
  readonly env: Environment
  readonly problems: Problem[]
  /** Aliases that are being read, one in the other, and the values that were read for aliases. */
  aliases: number
  copies: number
}

const charactersMax = 4_000_000
// A short file of aliases to aliases can stand for billions of values.
const copiesMax = 20_000
const depthMax = 40

/** Reads one file of configuration into a tree with positions, variables put in.
 *
 * The parser is loaded only for a file that says something: loading it takes longer than reading a file. */
export async function parseFile(text: string, file: string, env: Environment): Promise<Parsed> {
  const start = { file, line: 1, column: 1 }
  const refuse = (message: string): Parsed => ({ tree: emptyMap(start), problems: [{ ...start, path: '', message }] })
  if (text.length > charactersMax) return refuse('is larger than 4 MB')
  // Everything but a comment, also behind a byte order mark.
  if (!/^[^\S\r\n]*[^#\s]/m.test(text)) return { tree: emptyMap(start), problems: [] }
  const yaml = await import('yaml')
  const lines = new yaml.LineCounter()
  try {
    const document = await readYaml(yaml, text, lines)
    await othersTurn()
    return readDocument({ yaml, document, lines, file, env, problems: [], aliases: 0, copies: 0 }, text)
  } catch (error) {
    // Thrown by the parser for a file of brackets, and below for a file of aliases.
    if (error instanceof RangeError) return refuse('is nested too deeply, or its aliases stand for too much')
    throw error
  }
}

function readDocument(reading: Reading, text: string): Parsed {
  const { document, problems, file } = reading
  // After the first error the parser has lost its place, and what follows is noise.
  const [error] = [...document.errors, ...document.warnings]
  if (error) problems.push(syntaxProblem(reading, error, text))
  const start = { file, line: 1, column: 1 }
  const empty = emptyMap(start)
  if (problems.length > 0 || document.contents === null) return { tree: empty, problems }
  const tree = readNode(reading, document.contents, start, [])
  if (tree.kind === 'map') return { tree: dropEmptySections(tree), problems }
  if (tree.kind === 'leaf' && tree.value == null) return { tree: empty, problems }
  problems.push({ ...tree.at, path: '', message: 'expected sections such as "service:", got something else' })
  return { tree: empty, problems }
}

function readNode(reading: Reading, node: Node, keyAt: Origin | null, path: readonly string[]): Tree {
  if (reading.aliases > 0) reading.copies++
  if (reading.copies > copiesMax || path.length > depthMax) throw new RangeError('too much')
  const { yaml } = reading
  const at = originOf(reading, node.range?.[0])
  const placed = { at, keyAt: keyAt ?? at }
  if (yaml.isAlias(node)) {
    const target = node.resolve(reading.document)
    if (target) {
      reading.aliases++
      const read = readNode(reading, target, placed.keyAt, path)
      reading.aliases--
      return read
    }
    reading.problems.push({ ...at, path: path.join('.'), message: `no anchor is called "${node.source}"` })
    return { kind: 'leaf', ...placed, value: undefined, written: `*${node.source}` }
  }
  if (yaml.isMap(node)) return { kind: 'map', ...placed, entries: readEntries(reading, node.items, path) }
  if (yaml.isSeq(node)) {
    const items = node.items
      .filter(yaml.isNode)
      .map((item, index) => readNode(reading, item, null, [...path, `${index}`]))
    // What a variable left empty is not an item at all.
    return { kind: 'list', ...placed, items: items.filter(item => item.kind !== 'leaf' || item.value !== undefined) }
  }
  return readScalar(reading, node as Scalar, placed, path)
}

function readEntries(reading: Reading, pairs: readonly Pair[], path: readonly string[]): Map<string, Tree> {
  const { yaml, problems } = reading
  const entries = new Map<string, Tree>()
  for (const { key, value } of pairs) {
    const keyAt = originOf(reading, yaml.isNode(key) ? key.range?.[0] : undefined)
    const name = yaml.isScalar(key) && key.value !== null ? (key.source ?? String(key.value)) : null
    const inner = [...path, name ?? '?']
    const first = name === null ? undefined : entries.get(name)
    const complain = (message: string) => problems.push({ ...keyAt, path: inner.join('.'), message })
    if (name === null || name === '__proto__') complain('cannot be a key')
    else if (first) complain(`is set twice; the first time is on line ${first.keyAt.line}`)
    else if (yaml.isNode(value)) entries.set(name, readNode(reading, value, keyAt, inner))
    else entries.set(name, { kind: 'leaf', at: keyAt, keyAt, value: null })
  }
  return entries
}

function readScalar(
  { env, problems }: Reading,
  { value, source }: Scalar,
  placed: { at: Origin; keyAt: Origin },
  path: readonly string[],
): Leaf {
  if (typeof value === 'number' || typeof value === 'boolean' || value === null)
    return { kind: 'leaf', ...placed, value }
  const text = typeof value === 'string' ? value : (source ?? String(value))
  if (text.includes(LOST)) problems.push({ ...placed.at, path: path.join('.'), message: 'is not in UTF-8' })
  if (!text.includes('$')) return { kind: 'leaf', ...placed, value: text }
  const result = interpolate(text, env)
  for (const message of result.errors) problems.push({ ...placed.at, path: path.join('.'), message })
  if (!result.fromEnvironment) return { kind: 'leaf', ...placed, value: result.value }
  return { kind: 'leaf', ...placed, value: result.value === '' ? undefined : result.value, written: text }
}

// A section of which every line is commented out is an empty one.
function dropEmptySections(tree: MapTree): MapTree {
  return {
    ...tree,
    entries: new Map([...tree.entries].filter(([, value]) => value.kind !== 'leaf' || value.value !== null)),
  }
}

function originOf({ lines, file }: Reading, offset: number | undefined): Origin {
  const { line, col } = lines.linePos(offset ?? 0)
  return { file, line, column: col }
}

const syntaxMessages: Readonly<Partial<Record<ErrorCode, string>>> = {
  BAD_DQ_ESCAPE: 'a backslash in double quotes starts an escape that is unknown; double it or use single quotes',
  BAD_INDENT: 'is indented unlike its neighbours',
  BAD_SCALAR_START: 'starts with a character that has a meaning of its own; write the value in quotes',
  BLOCK_AS_IMPLICIT_KEY: 'holds a second ": "; write the value in quotes or on lines of its own',
  BLOCK_IN_FLOW: 'a comma is missing between two entries, or a closing bracket or brace',
  MISSING_CHAR: 'lacks a closing quote, bracket, comma or colon',
  MULTILINE_IMPLICIT_KEY: 'a key lacks its ": ", with the space, or a line is indented too little',
  MULTIPLE_DOCS: 'holds more than one document; keep one',
  TAB_AS_INDENT: 'tabs cannot indent; use spaces',
  TAG_RESOLVE_FAILED: 'tags ("!") are not supported',
  UNEXPECTED_TOKEN: 'cannot stand here',
}

const TOO_FAR = 'the line below is indented too far: a key has a value or keys below it, not both'

/** What the parser calls by one code, and people make for different reasons. */
const closerMessages: readonly (readonly [ofParser: RegExp, said: string])[] = [
  [/ and end with a /, 'a bracket or brace that was opened before is not closed'],
  [/^Missing closing /, 'the quote that opens here is not closed'],
  [/^Sequence item without /, 'is indented unlike its neighbours'],
]

// The parser's own messages quote the file, and what they quote may be a secret.
function syntaxProblem(reading: Reading, { code, pos, message }: YAMLError, text: string): Problem {
  const before = text.slice(Math.max(0, pos[0] - 1), pos[0] + 1)
  const [, closer] = closerMessages.find(([ofParser]) => ofParser.test(message)) ?? []
  const [line = ''] = text.slice(pos[0]).split('\n', 1)
  const isBelow = code === 'BLOCK_AS_IMPLICIT_KEY' && !/:(\s|$)/.test(line)
  const said = closer ?? (isBelow ? TOO_FAR : (syntaxMessages[code] ?? 'is not YAML'))
  const bareReference = before === '${' && code !== 'MULTIPLE_DOCS'
  const at = code === 'MISSING_CHAR' ? (openQuote(reading, pos[0]) ?? pos[0]) : pos[0]
  return {
    ...originOf(reading, at),
    path: '',
    message: bareReference ? `a variable between brackets or braces needs quotes, such as "\${VAR}"` : said,
  }
}

/** Where the text in quotes begins that has no end; the parser only tells of the end of the file. */
function openQuote({ yaml, document }: Reading, end: number): number | null {
  let start: number | null = null
  yaml.visit(document, {
    Scalar(_, { range, type }) {
      if (type?.startsWith('QUOTE_') && range && range[0] <= end && end <= range[1]) start = range[0]
    },
  })
  return start
}
