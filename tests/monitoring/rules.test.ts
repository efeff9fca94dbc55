import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { appendFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'yaml'
import { readGuides } from '#http/docs/guides.ts'
import { renderMarkdown } from '#http/docs/markdown.ts'
import { checkWith, FILES } from '#tests/support/prometheus.ts'
import { ownFolder, runProgram } from '#tests/support/server-process.ts'
import { exposition } from './exposed.ts'

interface Rule {
  readonly alert?: string
  readonly annotations: Readonly<Record<string, string>>
}

const { groups } = parse(readFileSync(join(FILES, 'alerts.yml'), 'utf8'))
const alerts: readonly Rule[] = groups.flatMap(({ rules }: { rules: readonly Rule[] }) => rules)
const nameOf = ({ alert = '' }: Rule) => alert

describe('promtool', () => {
  test('finds nothing wrong with the configuration and the rules', async () => {
    await checkWith('promtool', 'check', 'config', '--lint=all', '--lint-fatal', join(FILES, 'prometheus.yml'))
    const rules = ['recording.yml', 'alerts.yml'].map(name => join(FILES, name))

    expect(await checkWith('promtool', 'check', 'rules', '--lint=all', '--lint-fatal', ...rules)).toContain('SUCCESS')
  })

  test('sees each rule say what it should, each alert fire when it should, and not before', async () => {
    const files = ['alerts.yml', 'recording.yml'].map(name => join(import.meta.dir, name))

    expect(await checkWith('promtool', 'test', 'rules', ...files)).not.toContain('FAILED')
  })

  test('finds every metric well named and described', async () => {
    const folder = await ownFolder('citadel-metrics-')
    const file = join(folder.path, 'metrics.txt')
    await writeFile(file, await exposition())
    const check = () => runProgram(['sh', '-c', 'exec promtool check metrics <"$1" 2>&1', 'sh', file])

    const said = await check()
    await appendFile(file, '# TYPE wrongly_named counter\nwrongly_named 1\n')

    expect(said).toBe('')
    await expect(check()).rejects.toThrow('wrongly_named')
    await folder.remove()
  })

  test('is given a case in which each alert fires', () => {
    const { tests } = parse(readFileSync(join(import.meta.dir, 'alerts.yml'), 'utf8'))
    const cases: { alertname: string; exp_alerts?: unknown[] }[] = tests.flatMap(
      ({ alert_rule_test }: { alert_rule_test: unknown[] }) => alert_rule_test,
    )
    const fired = cases.filter(({ exp_alerts = [] }) => exp_alerts.length > 0).map(({ alertname }) => alertname)

    expect([...new Set(fired)].toSorted()).toEqual([...new Set(alerts.map(nameOf))].toSorted())
  })
})

test('no alert that the gateway was told of ends while it is held back: it would mark its server for ever', () => {
  const { inhibit_rules } = parse(readFileSync(join(FILES, 'alertmanager.yml'), 'utf8'))

  expect(inhibit_rules).toBeUndefined()
})

test('amtool finds nothing wrong with the routes', async () => {
  const file = join(FILES, 'alertmanager.yml')
  const routeOf = async (...labels: string[]) =>
    (await checkWith('amtool', 'config', 'routes', 'test', `--config.file=${file}`, ...labels)).trim()

  expect(await checkWith('amtool', 'check-config', file)).toContain('SUCCESS')
  expect(await routeOf('alertname=GatewayServerDown', 'server=gpu-1')).toBe('gateway,operators')
  expect(await routeOf('alertname=GatewayDown')).toBe('operators')
})

test('every alert leads to its own paragraph of the guide', () => {
  const guide = readGuides().find(({ slug }) => slug === 'monitoring')
  const anchors = renderMarkdown(guide?.markdown ?? '').headings.map(({ anchor }) => anchor)

  for (const { alert = '', annotations } of alerts) {
    expect(annotations.runbook_url).toBe(`{{ $externalLabels.gateway_docs }}/monitoring#${alert.toLowerCase()}`)
    expect(anchors).toContain(alert.toLowerCase())
  }
})
