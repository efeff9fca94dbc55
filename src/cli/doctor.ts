import { ConfigError, formatProblem, type Problem } from '#config/problems.ts'
import { parseDuration } from '#lib/duration.ts'
import { redactPatterns } from '#lib/redact.ts'
import { composeExaminer } from '#src/compose/doctor.ts'
import { secretsOf } from '#src/compose/edge.ts'
import { declarationOf } from '#src/compose/fleet.ts'
import { VERSION } from '#src/version.ts'
import { createRedactor } from '#telemetry/quote.ts'
import { readArguments } from './arguments.ts'
import { about, type Finding, type Status } from './doctor/finding.ts'
import { checkIssuers } from './doctor/issuers.ts'
import { checkMachine } from './doctor/machine.ts'
import { checkServers } from './doctor/servers.ts'
import { checkStores } from './doctor/stores.ts'
import { failCommand } from './failure.ts'
import { CONFIG_OPTIONS, optionsOf, type Settled, settle } from './options.ts'
import { counted, EXIT, fail, print } from './output.ts'

const OPTIONS = {
  ...CONFIG_OPTIONS,
  json: { type: 'boolean', default: false },
  calls: { type: 'boolean', default: true },
  timeout: { type: 'string', default: '30s' },
} as const

/** Looks at everything that the gateway needs, changes nothing, and says what is wrong and what to do about it. */
export async function doctor(args: readonly string[]): Promise<number> {
  try {
    const { values } = readArguments({ args: [...args], options: OPTIONS, allowNegative: true })
    const timeoutMs = parseDuration(values.timeout)
    if (timeoutMs === null)
      return fail('--timeout takes a duration, such as 10s. Try: citadel doctor --timeout 10s', EXIT.usage)
    const settled = await settle(optionsOf(values)).catch(thrown => {
      // The message on standard error is for people; a program reads the report, whatever is wrong.
      if (values.json && thrown instanceof ConfigError) print(jsonOf(thrown.problems.map(wrong)))
      throw thrown
    })
    const findings = await examine(settled, { timeoutMs, calls: values.calls })
    const withoutSecrets = createRedactor(secretsOf(settled.config))
    const report = values.json ? jsonOf(findings) : textOf(findings)
    print(redactPatterns(withoutSecrets(report)))
    return findings.some(finding => finding.status === 'failed') ? EXIT.failure : EXIT.ok
  } catch (thrown) {
    return failCommand(thrown)
  }
}

async function examine(
  settled: Settled,
  options: { readonly timeoutMs: number; readonly calls: boolean },
): Promise<readonly Finding[]> {
  const examiner = composeExaminer(settled.config)
  const { servers, models } = declarationOf(settled.config, settled.env)
  const real = servers.filter(({ origin }) => origin !== 'built-in')
  try {
    const found = await Promise.all([
      configuration(settled),
      checkMachine(settled),
      checkStores(settled, options.timeoutMs),
      checkIssuers(settled.config),
      checkServers({ servers: real, models, examiner, ...options }),
    ])
    return found.flat()
  } finally {
    examiner.close()
  }
}

function configuration({ configFiles, warnings }: Settled): readonly Finding[] {
  const { ok, warning } = about('configuration')
  const from = configFiles.length > 0 ? configFiles.join(', ') : 'no file: the defaults'
  return [ok(from), ...warnings.map(text => warning(text, 'Take it out of the configuration, or do as it says.'))]
}

function wrong(problem: Problem): Finding {
  return about('configuration').failed(formatProblem(problem), 'Correct it; nothing else was examined.')
}

function jsonOf(findings: readonly Finding[]): string {
  return JSON.stringify(reportOf(findings), null, 2)
}

function reportOf(findings: readonly Finding[]) {
  const count = (status: Status) => findings.filter(finding => finding.status === status).length
  return { version: VERSION, failed: count('failed'), warnings: count('warning'), findings }
}

function textOf(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ status, check, subject, detail, remedy }) => [
    `${status.padEnd(8)} ${[check, subject].filter(part => part !== null).join(' ')}: ${detail}`,
    ...(remedy === null ? [] : [`         → ${remedy}`]),
  ])
  const { failed, warnings } = reportOf(findings)
  return [...lines, `${failed} failed, ${counted(warnings, 'warning')}`].join('\n')
}
