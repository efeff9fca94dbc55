import { escapeHtml } from './html.ts'

type Rule = readonly [style: string, pattern: string]

const STRING: Rule = ['s', `"(?:\\\\.|[^"\\\\\\n])*"|'(?:\\\\.|[^'\\\\\\n])*'`]
const NUMBER: Rule = ['n', '\\b\\d[\\d_]*(?:\\.\\d+)?(?:ms|s|m|h|d|kB|MB|GB)?\\b']
/** Not the figures in a name, an address or a version. */
const WHOLE_NUMBER: Rule = ['n', '(?<=[\\s[{(])\\d[\\d_]*(?:\\.\\d+)?(?:ms|s|m|h|d|kB|MB|GB)?(?=$|[\\s,\\]})])']
const HASH_COMMENT: Rule = ['c', '(?<=^|\\s)#[^\\n]*']

const words = (list: string): Rule => ['k', `\\b(?:${list.replaceAll(' ', '|')})\\b`]

const JS: readonly Rule[] = [
  ['c', '//[^\\n]*|/\\*[\\s\\S]*?\\*/'],
  ['s', '`(?:\\\\.|[^`\\\\])*`'],
  STRING,
  words(
    'await async break case class const else export for from function if import in let new of return throw try catch while true false null undefined',
  ),
  NUMBER,
]

// Enough for the short examples of the guides: a real grammar would be larger than everything else on the page.
const LANGUAGES: Readonly<Record<string, readonly Rule[]>> = {
  js: JS,
  ts: JS,
  javascript: JS,
  json: [['p', '"(?:\\\\.|[^"\\\\])*"(?=\\s*:)'], STRING, words('true false null'), NUMBER],
  yaml: [
    HASH_COMMENT,
    ['p', '(?<=^|[\\s{,-])[\\w.:/-]*\\w(?=:(?:\\s|$))'],
    STRING,
    words('true false null'),
    WHOLE_NUMBER,
  ],
  bash: [
    HASH_COMMENT,
    STRING,
    ['k', '(?<=^|\\n|[|;&]\\s*)(?:curl|npx|npm|bun|bunx|citadel|export|kill|docker|ollama|vllm|python)\\b'],
    ['n', '(?<=\\s)--?[A-Za-z][\\w-]*'],
  ],
  python: [
    HASH_COMMENT,
    STRING,
    words('import from for in if else print return def class with as True False None'),
    NUMBER,
  ],
}

/** Marks comments, strings, keywords and numbers of a code example.
 *
 * @returns HTML; of an unknown language the text as it is. */
export function highlight(code: string, language: string): string {
  const rules = LANGUAGES[language]
  if (rules === undefined) return escapeHtml(code)
  const pattern = new RegExp(rules.map(([, source]) => `(${source})`).join('|'), 'gm')
  let html = ''
  let from = 0
  for (const match of code.matchAll(pattern)) {
    const style = rules[match.slice(1).findIndex(group => group !== undefined)]?.[0]
    html += `${escapeHtml(code.slice(from, match.index))}<span class="hl-${style}">${escapeHtml(match[0])}</span>`
    from = match.index + match[0].length
  }
  return html + escapeHtml(code.slice(from))
}
