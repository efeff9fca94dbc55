import { beforeAll, describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { checkWith, FILES } from '#tests/support/prometheus.ts'
import { ownFolder } from '#tests/support/server-process.ts'
import { dashboardOf } from '../../scripts/dashboard/layout.ts'
import { ROWS } from '../../scripts/dashboard/panels.ts'
import { exposedMetrics } from './exposed.ts'
import { readPromql, settled } from './promql.ts'

const GRAFANA = new URL('../../config/grafana/', import.meta.url).pathname
/** Units that Grafana knows by these ids; one that it does not know it writes behind the number as it is. */
const GRAFANA_UNITS = ['bytes', 'currencyUSD', 'ops', 'percentunit', 'reqps', 's', 'short']

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly datasource?: { readonly uid: string }
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string; readonly refId: string }[]
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
}

const dashboard: {
  readonly panels: readonly Panel[]
  readonly templating: { readonly list: readonly { readonly name: string; readonly definition?: string }[] }
} = JSON.parse(readFileSync(join(GRAFANA, 'citadel.json'), 'utf8'))
const panels = dashboard.panels.filter(({ type }) => type !== 'row')
const targets = panels.flatMap(({ title, targets: all = [] }) => all.map(target => ({ title, ...target })))
const variables = dashboard.templating.list.flatMap(({ definition }) => definition ?? [])

interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
}

const rules: readonly Rule[] = ['recording.yml', 'alerts.yml'].flatMap(name =>
  parse(readFileSync(join(FILES, name), 'utf8')).groups.flatMap(({ rules: all }: { rules: readonly Rule[] }) => all),
)

describe('what Prometheus is asked for', () => {
  let exposed: ReadonlyMap<string, ReadonlySet<string>>

  beforeAll(async () => {
    const recorded = rules.flatMap(({ record, expr }) => (record === undefined ? [] : [[record, expr] as const]))
    // Prometheus makes `up` itself; what a rule records has the labels by which it groups.
    exposed = new Map([
      ...(await exposedMetrics()),
      ['up', new Set(['job', 'instance'])],
      ...recorded.map(([record, expr]) => [record, new Set(readPromql(expr).grouping)] as const),
    ])
  })

  function missing(expression: string): readonly string[] {
    const { metrics, grouping } = readPromql(expression)
    const known = new Set(metrics.flatMap(({ name }) => [...(exposed.get(name) ?? [])]))
    return [
      ...metrics.flatMap(({ name, labels }) =>
        labels.filter(label => !exposed.get(name)?.has(label)).map(label => `${name}{${label}}`),
      ),
      ...metrics.filter(({ name }) => !exposed.has(name)).map(({ name }) => name),
      // What `label_replace` makes is written as a text.
      ...grouping.filter(label => !known.has(label) && !expression.includes(`"${label}"`)),
    ]
  }

  test('is all there: in the rules', () => {
    expect(rules.flatMap(({ expr }) => missing(expr))).toEqual([])
  })

  test('is all there: in the dashboard', () => {
    expect(targets.length).toBeGreaterThan(60)
    expect(targets.flatMap(({ expr }) => missing(settled(expr)))).toEqual([])
    for (const definition of variables) {
      const [, expression = '', label = ''] = /^label_values\((.+), (\w+)\)$/.exec(definition) ?? []
      expect(missing(expression), definition).toEqual([])
      expect(exposed.get(readPromql(expression).metrics[0]?.name ?? '')?.has(label), definition).toBe(true)
    }
  })

  test('would be missed', () => {
    expect(missing('sum by (server) (rate(gateway_requests_totals[5m]))')).toEqual([
      'gateway_requests_totals',
      'server',
    ])
    expect(missing('gateway_server_up{model="m"}')).toEqual(['gateway_server_up{model}'])
  })

  test('is PromQL to promtool too', async () => {
    const folder = await ownFolder('citadel-promql-')
    const file = join(folder.path, 'questions.yml')
    const all = targets.map(({ expr }, index) => ({ record: `question:${index}`, expr: settled(expr) }))
    await writeFile(file, stringify({ groups: [{ name: 'questions', rules: all }] }))

    const said = await checkWith('promtool', 'check', 'rules', file)
    await folder.remove()

    expect(said).toContain(`${targets.length} rules found`)
  })
})

describe('the dashboard', () => {
  test('is what its table says', () => {
    expect(dashboard as object).toEqual(JSON.parse(JSON.stringify(dashboardOf(ROWS))))
  })

  test('has panels with a number, a place, a unit and a data source of their own', () => {
    const ids = dashboard.panels.map(({ id }) => id)
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)}/${y + Math.floor(cell / w)}`),
    )

    expect(new Set(ids).size).toBe(ids.length)
    expect(new Set(cells).size).toBe(cells.length)
    expect(cells.every(cell => Number(cell.split('/')[0]) < 24)).toBe(true)
    for (const { title, fieldConfig, datasource, targets: all = [] } of panels) {
      expect(GRAFANA_UNITS, title).toContain(fieldConfig?.defaults.unit ?? 'none')
      expect(datasource?.uid, title).toBe('$datasource')
      expect(new Set(all.map(({ refId }) => refId)).size, title).toBe(all.length)
    }
  })

  test('shows what an alert asks of the gateway itself', () => {
    const metricsOf = (all: readonly { readonly expr: string }[]) =>
      all.flatMap(({ expr }) => readPromql(settled(expr)).metrics.map(({ name }) => name))
    const [shown, alerts] = [new Set(metricsOf(targets)), rules.filter(({ alert }) => alert !== undefined)]

    expect(metricsOf(alerts).filter(name => name.startsWith('gateway_') && !shown.has(name))).toEqual([])
  })

  test('calls every line by its labels', () => {
    for (const { title, expr, legendFormat } of targets) {
      const { metrics, grouping } = readPromql(settled(expr))
      const named = [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label = '']) => label)
      const shown = grouping.filter(label => label !== 'le')

      expect(legendFormat, title).not.toBe('')
      // What is grouped is told apart; what is not grouped has the labels of its metric.
      if (shown.length > 0) expect(named.toSorted(), title).toEqual(shown.toSorted())
      else expect(named.length <= 1 || metrics.length > 1, title).toBe(true)
    }
  })

  test('is found by Grafana where the files put it', () => {
    const read = (path: string) => parse(readFileSync(join(GRAFANA, 'provisioning', path), 'utf8'))

    expect(read('dashboards/citadel.yaml').providers[0].options.path).toBe('/var/lib/grafana/dashboards')
    // Where the guide has put Prometheus; a variable would be one that nobody has set.
    expect(read('datasources/citadel.yaml').datasources[0]).toMatchObject({
      ...{ type: 'prometheus', isDefault: true, url: 'http://localhost:9090' },
    })
  })
})
