/** The options that the usage of a command does not name again: `files` those of all that read a configuration,
 * `configuration` also what stands in place of its values, `gateway` also which running gateway is asked. */
export type Takes = 'nothing' | 'files' | 'configuration' | 'gateway'

const FILES = ['--config', '--env-file']
const CONFIGURATION = [...FILES, '--host', '--port']
const TAKEN: Readonly<Record<Takes, readonly string[]>> = {
  nothing: [],
  files: FILES,
  configuration: CONFIGURATION,
  gateway: ['--url', '--key', ...CONFIGURATION],
}

/** How each option is written, and what it does. */
const MEANINGS: Readonly<Record<string, readonly [written: string, does: string]>> = {
  '--config': ['--config FILE, -c', 'a configuration file; may be repeated, and later ones win'],
  '--env-file': ['--env-file FILE', 'variables that the configuration uses; may be repeated'],
  '--host': ['--host ADDRESS', 'in place of service.host'],
  '--port': ['--port N, -p', 'in place of service.port'],
  '--url': ['--url ADDRESS', 'the gateway to ask, or CITADEL_URL; else the one of this machine'],
  '--key': ['--key KEY', 'the key to ask it with, or CITADEL_API_KEY'],
  '--json': ['--json', 'output for programs'],
  '--timeout': ['--timeout TIME', 'how long an answer may take, such as 30s'],
  '--no-calls': ['--no-calls', 'call no model, which costs tokens'],
  '--model': ['--model NAME', 'the model to ask; without it the gateway chooses'],
  '--system': ['--system TEXT', 'what the model is told beforehand'],
  '--resolved': ['--resolved', 'every value, with the defaults'],
  '--name': ['--name NAME', 'how people call the key'],
  '--role': ['--role ROLE', 'caller (unless said otherwise), viewer, operator or admin'],
  '--models': ['--models A,B', 'the models that it may call; all of them if absent'],
  '--expires': ['--expires DATE', 'from when on it is refused, such as 2037-01-01'],
  '--budget': ['--budget USD/month', 'what it may spend, such as 50/month or 2/day'],
  '--requests-per-minute': ['--requests-per-minute N', 'its own limit; 0 for none'],
  '--tokens-per-minute': ['--tokens-per-minute N', 'its own limit; 0 for none'],
  '--concurrent-requests': ['--concurrent-requests N', 'its own limit; 0 for none'],
  '--no-cache': ['--no-cache', 'its answers are neither stored nor shared'],
  '--signing': ['--signing', 'its requests have to be signed'],
  '--tenant': ['--tenant NAME', 'the tenant whose keys these are; default if absent'],
  '--overlap': ['--overlap 1d', 'how long the old secret works on behind a rotation; 30d at most'],
  '--status': ['--status', 'change nothing, and tell what is pending'],
}

const WIDTH = Math.max(...Object.values(MEANINGS).map(([written]) => written.length))

/** The options that a command takes. */
export function optionsTaken(usage: readonly string[], takes: Takes): readonly string[] {
  const named = usage.flatMap(line => line.match(/--[a-z-]+/g) ?? [])
  return [...new Set([...named, ...TAKEN[takes]])]
}

/** A line for each option that a command takes. */
export function explainOptions(usage: readonly string[], takes: Takes): readonly string[] {
  return optionsTaken(usage, takes).map(option => {
    const [written, does] = MEANINGS[option] ?? [option, '']
    return `  ${written.padEnd(WIDTH)}  ${does}`
  })
}
