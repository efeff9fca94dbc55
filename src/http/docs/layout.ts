import { escapeHtml } from './html.ts'
import type { Heading } from './markdown.ts'

/** What the shell of a page needs to know. */
export interface Shell {
  readonly title: string
  readonly version: string
  /** The address of the page, to mark it in the navigation. */
  readonly path: string
  readonly groups: readonly Group[]
  readonly headings: readonly Heading[]
  /** The article or application in the middle, as HTML. */
  readonly main: string
  readonly styles: readonly string[]
  readonly scripts: readonly string[]
}

/** One line of the navigation. */
export interface Entry {
  readonly path: string
  readonly title: string
}

/** Lines of the navigation below one heading. */
export interface Group {
  readonly title: string
  readonly entries: readonly Entry[]
}

const REFERENCE: readonly Entry[] = [
  { path: '/docs/reference', title: 'API reference' },
  { path: '/openapi.json', title: 'OpenAPI document' },
  { path: '/schema.json', title: 'Configuration schema' },
]

const MARK =
  '<svg class="mark" viewBox="0 0 24 24" aria-hidden="true"><path d="M3 21V8h3v3h3V8h6v3h3V8h3v13h-7v-5a2 2 0 0 0-4 0v5z"/><path d="M8 6V3h2v1h1V3h2v1h1V3h2v3z"/></svg>'

/** Writes a whole page around its content. */
export function layout(shell: Shell): string {
  const { title, version, main, styles, scripts } = shell
  const asset = (name: string) => `/docs/assets/${name}?v=${encodeURIComponent(version)}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)} · Citadel Gateway</title>
<link rel="icon" type="image/svg+xml" href="${asset('favicon.svg')}">
${styles.map(name => `<link rel="stylesheet" href="${asset(name)}">`).join('\n')}
${scripts.map(name => `<script src="${asset(name)}" defer></script>`).join('\n')}
</head>
<body>
<a class="skip" href="#main">Skip to content</a>
${header(version)}
<div class="columns">
<nav id="nav" class="nav" aria-label="Documentation">
${[...shell.groups, { title: 'Reference', entries: REFERENCE }].map(group => navGroup(group, shell.path)).join('\n')}
</nav>
<main id="main" class="main" tabindex="-1">
${main}
</main>
${tableOfContents(shell.headings)}
</div>
</body>
</html>
`
}

/** Writes the links to the pages before and after one. */
export function pager(previous: Entry | undefined, next: Entry | undefined): string {
  const link = (entry: Entry | undefined, label: string, rel: string) =>
    entry === undefined
      ? '<span></span>'
      : `<a rel="${rel}" href="${entry.path}"><small>${label}</small>${escapeHtml(entry.title)}</a>`
  return `<nav class="pager" aria-label="More pages">${link(previous, 'Previous', 'prev')}${link(next, 'Next', 'next')}</nav>`
}

function header(version: string): string {
  return `<header class="top">
<button class="menu" type="button" aria-label="Navigation" aria-controls="nav" aria-expanded="false"><span></span></button>
<a class="brand" href="/docs">${MARK}<span>Citadel Gateway</span></a>
<span class="version">${escapeHtml(version)}</span>
<search class="search" hidden>
<input id="search" type="search" placeholder="Search" autocomplete="off" spellcheck="false" aria-label="Search the guides" aria-controls="results">
<kbd>/</kbd>
<ol id="results" class="results" hidden></ol>
</search>
</header>`
}

function navGroup({ title, entries }: Group, current: string): string {
  const items = entries.map(({ path, title: text }) => {
    const mark = path === current ? ' aria-current="page"' : ''
    return `<li><a href="${path}"${mark}>${escapeHtml(text)}</a></li>`
  })
  return `<section>\n<h2>${escapeHtml(title)}</h2>\n<ul>\n${items.join('\n')}\n</ul>\n</section>`
}

function tableOfContents(headings: readonly Heading[]): string {
  const items = headings
    .filter(({ depth }) => depth === 2 || depth === 3)
    .map(({ depth, text, anchor }) => `<li class="depth-${depth}"><a href="#${anchor}">${escapeHtml(text)}</a></li>`)
  if (items.length < 2) return ''
  return `<nav class="toc" aria-label="On this page">\n<h2>On this page</h2>\n<ul>\n${items.join('\n')}\n</ul>\n</nav>`
}
