import { readFile } from 'node:fs/promises'

/** A file that the pages load. */
export interface Asset {
  readonly type: string
  load(): Promise<Uint8Array>
}

const JAVASCRIPT = 'text/javascript; charset=utf-8'
const SVG = 'image/svg+xml'
const CSS = 'text/css; charset=utf-8'

const OWN: Readonly<Record<string, string>> = {
  'docs.css': CSS,
  'docs.js': JAVASCRIPT,
  'reference.css': CSS,
  'reference.js': JAVASCRIPT,
  'favicon.svg': SVG,
}

// Listed one by one: a name from a request never becomes a path.
/** The pictures of the guides, which `scripts/figures.ts` draws. */
const FIGURES: ReadonlySet<string> = new Set(['attempts.svg', 'clocks.svg', 'hedging.svg', 'limits.svg', 'outage.svg'])

const SWAGGER: Readonly<Record<string, string>> = {
  'swagger-ui-bundle.js': JAVASCRIPT,
  'swagger-ui.css': CSS,
}

/** Finds a file that the pages load, by its name; `null` for every other name. */
export function docsAsset(name: string): Asset | null {
  if (Object.hasOwn(OWN, name)) return file(OWN[name], new URL(`./site/${name}`, import.meta.url))
  if (FIGURES.has(name)) return file(SVG, new URL(`./guides/figures/${name}`, import.meta.url))
  if (Object.hasOwn(SWAGGER, name))
    return file(SWAGGER[name], new URL(name, import.meta.resolve('swagger-ui-dist/package.json')))
  return null
}

function file(type: string | undefined, url: URL): Asset {
  return { type: type ?? 'application/octet-stream', load: () => readFile(url) }
}
