import { readdirSync, readFileSync } from 'node:fs'

const FOLDER = new URL('./guides/', import.meta.url)

/** The headings of the navigation, in its order. */
const GROUPS = ['Start', 'Use', 'Servers and routing', 'Keys, limits, money', 'Operate', 'Scale']

/** One guide: a Markdown file with a few words about itself at its head. */
export interface Guide {
  /** The file's name without `.md`, and its address below `/docs`. */
  readonly slug: string
  readonly title: string
  /** One sentence for lists of guides. */
  readonly summary: string
  /** The heading of the navigation that it stands below. */
  readonly group: string
  /** Its place there; lowest first. */
  readonly order: number
  readonly markdown: string
}

/** Reads all guides, in the order of the navigation. A guide is added by putting a file into the folder.
 *
 * @throws Error when a file has no title or order at its head, or names a group that the navigation does not have. */
export function readGuides(): readonly Guide[] {
  return readdirSync(FOLDER)
    .filter(name => name.endsWith('.md'))
    .map(name => parseGuide(name.slice(0, -'.md'.length), readFileSync(new URL(name, FOLDER), 'utf8')))
    .sort((left, right) => place(left) - place(right) || left.order - right.order)
}

function place({ group }: Guide): number {
  return GROUPS.indexOf(group)
}

/** Reads one guide: `key: value` lines between two lines of `---`, then Markdown. */
function parseGuide(slug: string, text: string): Guide {
  const [, head = '', markdown = ''] = /^---\n([\s\S]*?)\n---\n([\s\S]*)$/.exec(text) ?? []
  const fields = new Map(head.split('\n').map(line => splitAt(line, ':')))
  const title = fields.get('title')
  const order = Number(fields.get('order') ?? Number.NaN)
  if (!title || Number.isNaN(order)) throw new Error(`The guide ${slug}.md needs a title and an order at its head.`)
  const group = fields.get('group') ?? ''
  if (!GROUPS.includes(group)) throw new Error(`The guide ${slug}.md needs one of these groups: ${GROUPS.join('; ')}.`)
  return { slug, title, group, summary: fields.get('summary') ?? '', order, markdown }
}

function splitAt(line: string, separator: string): [string, string] {
  const at = line.indexOf(separator)
  return at < 0 ? [line.trim(), ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()]
}
