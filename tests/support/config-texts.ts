import { type Loaded, type LoadOptions, loadConfig } from '#config/load.ts'
import { ConfigError } from '#config/problems.ts'

/** Loads texts as if they were files, in the order in which they are given. */
export function loadTexts(
  texts: Readonly<Record<string, string>>,
  options: Partial<Omit<LoadOptions, 'files'>> & { readonly others?: Readonly<Record<string, string>> } = {},
): Promise<Loaded> {
  const all = { ...texts, ...options.others }
  return loadConfig({ env: {}, ...options, files: Object.keys(texts), readFile: fakeReadFile(all) })
}

/** Loads one text as `gateway.yaml`. */
export function loadText(text: string, options: Parameters<typeof loadTexts>[1] = {}): Promise<Loaded> {
  return loadTexts({ 'gateway.yaml': text }, options)
}

/** Gives what loading complains about, a line for each problem; nothing when it loads. */
export async function complaints(loading: Promise<unknown>): Promise<string[]> {
  try {
    await loading
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.message.split('\n')
    throw error
  }
}

function fakeReadFile(files: Readonly<Record<string, string>>): (path: string) => Promise<string> {
  return async path => {
    const text = files[path]
    if (text === undefined) throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' })
    return text
  }
}
