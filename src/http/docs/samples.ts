/** A program that performs an operation, in the shape of the `x-codeSamples` extension. */
export interface CodeSample {
  readonly lang: string
  readonly label: string
  readonly source: string
}

const BASE = 'http://localhost:8000'

/** A shell program of curl commands. */
export function shell(...lines: readonly string[]): CodeSample {
  return { lang: 'bash', label: 'curl', source: lines.join('\n') }
}

/** A curl command that sends a body. */
export function curlPost(path: string, body: object, options: { readonly stream?: boolean } = {}): CodeSample {
  const flags = options.stream === true ? '-N ' : ''
  const json = JSON.stringify(body, null, 2)
  return shell(`curl ${flags}${BASE}${path} \\\n  -H 'content-type: application/json' \\\n  -d '${json}'`)
}

/** A curl command that reads. */
export function curlGet(path: string): CodeSample {
  return shell(`curl ${BASE}${path}`)
}

/** A module that uses the official client for JavaScript. */
export function node(lines: string): CodeSample {
  const client = `new OpenAI({ baseURL: '${BASE}/v1', apiKey: process.env.CITADEL_API_KEY ?? 'none' })`
  return {
    lang: 'javascript',
    label: 'openai-node',
    source: `import OpenAI from 'openai'\n\nconst client = ${client}\n\n${lines.trim()}\n`,
  }
}

/** A script that uses the official client for Python. */
export function python(lines: string): CodeSample {
  const client = `OpenAI(base_url="${BASE}/v1", api_key=os.environ.get("CITADEL_API_KEY", "none"))`
  return {
    lang: 'python',
    label: 'openai-python',
    source: `import os\n\nfrom openai import OpenAI\n\nclient = ${client}\n\n${lines.trim()}\n`,
  }
}
