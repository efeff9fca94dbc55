import { docsAsset } from './assets.ts'
import { type Guide, readGuides } from './guides.ts'
import { escapeHtml } from './html.ts'
import { type Entry, type Group, layout, pager } from './layout.ts'
import { type SupportMatrix, supportMarkdown } from './support.ts'

/** A page, or a file that one loads, ready to be sent. */
interface DocsFile<Body> {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Body
}

/** The documentation site. */
export interface Docs {
  /** Gives a page by its address below `/docs`: a guide, `reference`, or the first guide for an empty one. */
  page(slug: string): Promise<DocsFile<string> | null>
  /** Makes the page for a name that no page has: it lists them all. */
  missing(name: string): DocsFile<string>
  /** Gives a file by its name below `/docs/assets`. */
  asset(name: string): Promise<DocsFile<Uint8Array> | null>
  /** The addresses of all pages below `/docs`. */
  readonly slugs: readonly string[]
}

const REFERENCE = 'reference'
const SEARCH_INDEX = 'search.json'
const GUIDE_LIST = '<!-- guides -->'
const SUPPORT = '<!-- support -->'

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

const PAGE_HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
}

/** Creates the documentation site: guides and the API reference, all from this origin.
 *
 * Guides are read on first use and rendered when they are asked for.
 *
 * @param options.support What the dialects declare, for the guide that shows it. */
export function createDocs({ version, support }: { readonly version: string; readonly support: SupportMatrix }): Docs {
  let read: readonly Guide[] | null = null
  const guides = () => {
    read ??= readGuides().map(guide => withSupport(guide, support))
    return read
  }
  const pages = new Map<string, Promise<string>>()
  // To make it takes a third of a second, in which nobody else is served, and anybody may ask for it.
  let index: Promise<Uint8Array> | null = null

  async function html(slug: string): Promise<string | null> {
    const guide = slug === '' ? guides()[0] : guides().find(each => each.slug === slug)
    if (guide === undefined && slug !== REFERENCE) return null
    const page =
      pages.get(slug) ?? (guide === undefined ? referencePage(guides(), version) : guidePage(guide, guides(), version))
    pages.set(slug, page)
    return page
  }

  return {
    async page(slug) {
      const body = await html(slug)
      return body === null ? null : { headers: PAGE_HEADERS, body }
    },
    missing(name) {
      return { headers: PAGE_HEADERS, body: missingPage(name, guides(), version) }
    },
    async asset(name) {
      if (name === SEARCH_INDEX) {
        index ??= searchIndex(guides())
        return toFile('application/json', await index)
      }
      const asset = docsAsset(name)
      return asset === null ? null : toFile(asset.type, await asset.load())
    },
    get slugs() {
      return [...guides().map(({ slug }) => slug), REFERENCE]
    },
  }
}

function withSupport(guide: Guide, support: SupportMatrix): Guide {
  if (!guide.markdown.includes(SUPPORT)) return guide
  return { ...guide, markdown: guide.markdown.replace(SUPPORT, () => supportMarkdown(support)) }
}

async function guidePage(guide: Guide, guides: readonly Guide[], version: string): Promise<string> {
  const { renderMarkdown } = await import('./markdown.ts')
  const { html, headings } = renderMarkdown(guide.markdown)
  const at = guides.indexOf(guide)
  const entries = guides.map(toEntry)
  const body = html.replace(GUIDE_LIST, () => guideList(guides.filter(other => other !== guide)))
  return layout({
    title: guide.title,
    version,
    path: toEntry(guide).path,
    groups: toGroups(guides),
    headings,
    main: `<article>\n<h1>${escapeHtml(guide.title)}</h1>\n${body}\n</article>\n${pager(entries[at - 1], entries[at + 1])}`,
    styles: ['docs.css'],
    scripts: ['docs.js'],
  })
}

async function referencePage(guides: readonly Guide[], version: string): Promise<string> {
  return layout({
    title: 'API reference',
    version,
    path: `/docs/${REFERENCE}`,
    groups: toGroups(guides),
    headings: [],
    main: '<div id="reference" class="reference"><p class="loading">Loading the reference…</p></div>\n<noscript>The reference needs JavaScript. The same is at <a href="/openapi.json">/openapi.json</a>.</noscript>',
    styles: ['reference.css', 'docs.css'],
    scripts: ['swagger-ui-bundle.js', 'reference.js', 'docs.js'],
  })
}

function missingPage(name: string, guides: readonly Guide[], version: string): string {
  return layout({
    title: 'Page not found',
    version,
    path: '',
    groups: toGroups(guides),
    headings: [],
    main: `<article>\n<h1>Page not found</h1>\n<p>There is no page at <code>/docs/${escapeHtml(name)}</code>. These are all guides:</p>\n${guideList(guides)}\n</article>`,
    styles: ['docs.css'],
    scripts: ['docs.js'],
  })
}

/** Guides as cards, below the headings that the navigation has. */
function guideList(guides: readonly Guide[]): string {
  const card = (guide: Guide) => {
    const { path, title } = toEntry(guide)
    return `<li><a href="${path}"><strong>${escapeHtml(title)}</strong><span>${escapeHtml(guide.summary)}</span></a></li>`
  }
  const list = ([group, members]: readonly [string, readonly Guide[]]) =>
    `<h3>${escapeHtml(group)}</h3>\n<ul class="cards">\n${members.map(card).join('\n')}\n</ul>`
  return byGroup(guides).map(list).join('\n')
}

function toGroups(guides: readonly Guide[]): Group[] {
  return byGroup(guides).map(([title, members]) => ({ title, entries: members.map(toEntry) }))
}

function byGroup(guides: readonly Guide[]): [group: string, guides: Guide[]][] {
  return [...Map.groupBy(guides, ({ group }) => group)]
}

async function searchIndex(guides: readonly Guide[]): Promise<Uint8Array> {
  const { renderMarkdown } = await import('./markdown.ts')
  const entries = guides.flatMap(guide =>
    renderMarkdown(guide.markdown).sections.map(({ heading, text }) => ({
      page: guide.title,
      heading: heading?.text ?? '',
      path: `${toEntry(guide).path}${heading === null ? '' : `#${heading.anchor}`}`,
      text,
    })),
  )
  return new TextEncoder().encode(JSON.stringify(entries))
}

function toEntry(guide: Guide): Entry {
  return { path: `/docs/${guide.slug}`, title: guide.title }
}

function toFile(type: string, body: Uint8Array): DocsFile<Uint8Array> {
  return { headers: { 'content-type': type, 'cache-control': 'public, max-age=3600' }, body }
}
