import { Marked, type Token, type Tokens } from 'marked'
import { highlight } from './highlight.ts'
import { escapeHtml } from './html.ts'

/** A heading of a page. */
export interface Heading {
  readonly depth: number
  readonly text: string
  readonly anchor: string
}

/** What stands below one heading, as plain text for the search. */
interface Section {
  readonly heading: Heading | null
  readonly text: string
}

export interface Rendered {
  readonly html: string
  readonly headings: readonly Heading[]
  readonly sections: readonly Section[]
}

/** Renders a guide. The guides are the gateway's own files, so their HTML is trusted. */
export function renderMarkdown(markdown: string): Rendered {
  const anchors = new Map<Token, string>()
  const marked = new Marked({ gfm: true, renderer: renderer(anchors) })
  const tokens = marked.lexer(markdown)
  const headings = collectHeadings(tokens, anchors)
  return { html: marked.parser(tokens), headings: [...headings.values()], sections: toSections(tokens, headings) }
}

function renderer(anchors: ReadonlyMap<Token, string>) {
  return {
    heading(this: { parser: { parseInline(tokens: Token[]): string } }, token: Tokens.Heading) {
      const anchor = anchors.get(token) ?? ''
      const text = this.parser.parseInline(token.tokens)
      const link = `<a class="anchor" href="#${anchor}" aria-label="Link to this section">#</a>`
      return `<h${token.depth} id="${anchor}">${text}${link}</h${token.depth}>\n`
    },
    code({ text, lang }: Tokens.Code) {
      const language = (lang ?? '').split(' ')[0] ?? ''
      const label = language === '' ? '' : ` data-language="${escapeHtml(language)}"`
      return `<div class="code"${label}><pre tabindex="0"><code>${highlight(text, language)}</code></pre></div>\n`
    },
    link(this: { parser: { parseInline(tokens: Token[]): string } }, { href, tokens }: Tokens.Link) {
      return `<a href="${escapeHtml(toAddress(href))}">${this.parser.parseInline(tokens)}</a>`
    },
    image({ href, text }: Tokens.Image) {
      return `<img src="${escapeHtml(toAddress(href))}" alt="${escapeHtml(text)}">`
    },
    table(this: { parser: { parseInline(tokens: Token[]): string } }, { header, rows }: Tokens.Table) {
      const wide = header.length < WIDE_COLUMNS ? '' : ' wide'
      const cells = (row: readonly Tokens.TableCell[], tag: string) =>
        row
          .map(({ text, tokens }) => {
            // The corner of a table that has headings on two sides heads nothing.
            const name = text === '' ? 'td' : tag
            return `<${name}>${letCodeBreak(this.parser.parseInline(tokens))}</${name}>`
          })
          .join('')
      const body = rows.map(row => `<tr>${cells(row, 'td')}</tr>`).join('\n')
      return `<div class="table${wide}"><table><thead><tr>${cells(header, 'th')}</tr></thead><tbody>${body}</tbody></table></div>\n`
    },
  }
}

/** A table of so many columns has no room for names such as `upstream_invalid_response` on one line; the style sheet lets
 * those of the others break on narrow screens only. */
const WIDE_COLUMNS = 6

function letCodeBreak(html: string): string {
  return html.replace(/(?<=<code>)[^<]*/g, code => code.replaceAll(/(?<!\/)[_./](?=[a-z])/gi, '$&<wbr>'))
}

/** Guides link to each other, and to their pictures, by file name, so that the links also work where the files are read as
 * they are. */
function toAddress(href: string): string {
  return href.replace(/^([\w-]+)\.md(?=#|$)/, '/docs/$1').replace(/^figures\//, '/docs/assets/')
}

function collectHeadings(tokens: readonly Token[], anchors: Map<Token, string>): Map<Token, Heading> {
  const headings = new Map<Token, Heading>()
  const taken = new Map<string, number>()
  for (const token of tokens) {
    if (token.type !== 'heading') continue
    const text = plain(token.text)
    const base = toAnchor(text)
    const count = taken.get(base) ?? 0
    taken.set(base, count + 1)
    const anchor = count === 0 ? base : `${base}-${count}`
    anchors.set(token, anchor)
    headings.set(token, { depth: token.depth, text, anchor })
  }
  return headings
}

// The way in which code forges make anchors, so that links agree.
function toAnchor(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-')
}

function toSections(tokens: readonly Token[], headings: ReadonlyMap<Token, Heading>): Section[] {
  const sections: { heading: Heading | null; text: string }[] = [{ heading: null, text: '' }]
  for (const token of tokens) {
    const heading = headings.get(token)
    if (heading !== undefined) sections.push({ heading, text: '' })
    else {
      const last = sections.at(-1)
      if (last !== undefined) last.text = `${last.text} ${plain(token.raw)}`.trim()
    }
  }
  return sections
}

function plain(markdown: string): string {
  return markdown
    .replace(/<!--[\s\S]*?-->/g, ' ')
    .replace(/^```.*$/gm, ' ')
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[`*|]|^[-#>\s]+|:?-{3,}:?|(?<!\w)_|_(?!\w)/gm, ' ')
    .replace(/\s+/g, ' ')
    .trim()
}
