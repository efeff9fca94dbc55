import { readdirSync, readFileSync } from 'node:fs'
import { type Outcome, outcomeOf } from '#tests/support/output.ts'

/** One fenced block of a guide. */
export interface Snippet {
  /** Where it stands: `first-steps.md:14`. */
  readonly name: string
  /** The whole info string: `bash run`. */
  readonly info: string
  readonly code: string
}

const GUIDES = new URL('../../src/http/docs/guides/', import.meta.url)

/** Reads every fenced block of every guide. */
export function readSnippets(): Snippet[] {
  return readdirSync(GUIDES)
    .filter(name => name.endsWith('.md'))
    .flatMap(name => fencesOf(name, readFileSync(new URL(name, GUIDES), 'utf8')))
}

function fencesOf(file: string, text: string): Snippet[] {
  return [...text.matchAll(/^```([^\n]*)\n([\s\S]*?)^```$/gm)].map(match => ({
    name: `${file}:${text.slice(0, match.index).split('\n').length}`,
    info: match[1]?.trim() ?? '',
    code: match[2] ?? '',
  }))
}

const ADDRESS = /http:\/\/localhost:8000/g
const ROOT = new URL('../../', import.meta.url).pathname
/** The key with which examples manage the gateway. */
export const ADMIN_KEY = 'sk-key-of-the-examples'
const WEBHOOK_SECRET = 'secret-of-the-examples'
/** The configuration of the gateway that examples talk to: the demo model alone, whatever runs on the machine of the
 * tests, what the management and the webhooks need, and a key that the guides sign with. */
export const EXAMPLE_CONFIG = [
  'gateway: { discover: false, demo: true }',
  'auth:',
  '  mode: none',
  `  admin_keys: [${ADMIN_KEY}]`,
  '  keys: [{ name: partner, key: ck-partner-example, role: viewer, signing_secret: s-partner-example }]',
  'orchestration: { allowed_addresses: [10.0.0.0/8] }',
  `webhooks: { secrets: { alertmanager: ${WEBHOOK_SECRET}, server_status: ${WEBHOOK_SECRET}, deploy: ${WEBHOOK_SECRET} } }`,
  '',
].join('\n')
// An HTTP error must not look like success, and a progress bar not like an error.
const STRICT_CURL = 'curl() { command curl --silent --show-error --fail-with-body "$@"; }\n'

/** Runs the curl commands of a snippet against a gateway. */
export function runShell(code: string, url: string): Promise<Outcome> {
  return run(['bash', '-e', '-c', STRICT_CURL + code.replace(ADDRESS, url)], null)
}

/** Runs an ES module against a gateway, with the packages of this project. */
export function runModule(code: string, url: string): Promise<Outcome> {
  return run([process.execPath, 'run', '-'], code.replace(ADDRESS, url))
}

async function run(command: readonly string[], input: string | null): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: ROOT,
    env: { ...process.env, CITADEL_ADMIN_KEY: ADMIN_KEY, CITADEL_WEBHOOK_SECRET: WEBHOOK_SECRET },
    stdin: input === null ? 'ignore' : new TextEncoder().encode(input),
    stdout: 'pipe',
    stderr: 'pipe',
  })
  return outcomeOf(child)
}
