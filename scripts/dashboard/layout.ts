import type { Look, Panel, Row } from './panels.ts'

const WIDTH = 24
const DATASOURCE = { type: 'prometheus', uid: '$datasource' }
const TYPES: Readonly<Record<Look, string>> = { time: 'timeseries', states: 'state-timeline', stat: 'stat' }
const SIZES: Readonly<Record<Look, { readonly w: number; readonly h: number }>> = {
  time: { w: 8, h: 8 },
  states: { w: 8, h: 8 },
  stat: { w: 3, h: 4 },
}
/** The last name of a state is the good one where there are two, the first one where there are more. */
const COLORS: Readonly<Record<number, readonly string[]>> = { 2: ['red', 'green'], 3: ['green', 'yellow', 'red'] }

/** What can be chosen at the head of the dashboard, and where its values come from. */
const CHOICES = [
  { name: 'gateway', label: 'Gateway', query: 'label_values(gateway_build_info{job="citadel"}, instance)' },
  { name: 'model', label: 'Model', query: 'label_values(gateway_model_info{job="citadel"}, model)' },
  { name: 'server', label: 'Server', query: 'label_values(gateway_inflight{job="citadel"}, server)' },
] as const

/** Makes the dashboard of its rows: each panel has its place and its number by its order.
 *
 * @returns What Grafana 10 and later imports. */
export function dashboardOf(rows: readonly Row[]): object {
  return {
    uid: 'citadel-gateway',
    title: 'Citadel Gateway',
    description: 'Traffic, latency, errors, cost, servers, limits, cache and processes of Citadel Gateway.',
    tags: ['citadel'],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    timezone: 'browser',
    templating: { list: variables() },
    panels: placed(rows),
  }
}

function variables(): readonly object[] {
  const source = { name: 'datasource', label: 'Data source', type: 'datasource', query: 'prometheus', current: {} }
  return [
    source,
    ...CHOICES.map(({ name, label, query }) => ({
      name,
      label,
      type: 'query',
      datasource: DATASOURCE,
      query: { query, refId: name },
      definition: query,
      refresh: 2,
      sort: 1,
      multi: true,
      includeAll: true,
      allValue: '.*',
      current: { selected: true, text: ['All'], value: ['$__all'] },
    })),
  ]
}

function placed(rows: readonly Row[]): readonly object[] {
  const panels: object[] = []
  let y = 0
  for (const { title, panels: all } of rows) {
    panels.push({
      id: panels.length + 1,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
      panels: [],
    })
    y++
    let [x, height] = [0, 0]
    for (const panel of all) {
      const { w, h } = SIZES[panel.look ?? 'time']
      if (x + w > WIDTH) {
        y += height
        x = 0
      }
      panels.push({ id: panels.length + 1, gridPos: { x, y, w, h }, ...panelOf(panel) })
      x += w
      height = h
    }
    y += height
  }
  return panels
}

function panelOf({ title, unit, queries, look = 'time', limits, states }: Panel): object {
  return {
    type: TYPES[look],
    title,
    datasource: DATASOURCE,
    targets: queries.map(({ expr, legend }, index) => ({
      refId: String.fromCharCode('A'.charCodeAt(0) + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
    fieldConfig: {
      defaults: {
        unit,
        min: look === 'time' ? 0 : undefined,
        custom: look === 'time' ? { lineWidth: 1, fillOpacity: 8, showPoints: 'never', spanNulls: false } : undefined,
        mappings: states === undefined ? undefined : [mappingOf(states)],
        thresholds: { mode: 'absolute', steps: stepsOf(limits) },
      },
      overrides: [],
    },
    options: OPTIONS[look],
  }
}

const OPTIONS: Readonly<Record<Look, object>> = {
  time: {
    legend: { displayMode: 'table', placement: 'bottom', showLegend: true, calcs: ['lastNotNull', 'max'] },
    tooltip: { mode: 'multi', sort: 'desc' },
  },
  states: {
    legend: { displayMode: 'list', placement: 'bottom', showLegend: true },
    mergeValues: true,
    showValue: 'never',
  },
  stat: { reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false }, graphMode: 'area', colorMode: 'value' },
}

function mappingOf(states: readonly string[]): object {
  const colors = COLORS[states.length] ?? []
  const options = Object.fromEntries(
    states.map((text, index) => [String(index), { text, index, color: colors[index] ?? 'text' }]),
  )
  return { type: 'value', options }
}

function stepsOf(limits?: readonly [number, number]): readonly object[] {
  const base = { color: 'green', value: null }
  if (limits === undefined) return [base]
  const [yellow, red] = limits
  return [base, ...(yellow < red ? [{ color: 'yellow', value: yellow }] : []), { color: 'red', value: red }]
}
