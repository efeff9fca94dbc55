import { parser } from '@prometheus-io/lezer-promql'

/** What an expression of PromQL asks for. */
export interface Asked {
  /** Each metric with the labels by which its series are picked. */
  readonly metrics: readonly { readonly name: string; readonly labels: readonly string[] }[]
  /** The labels by which series are grouped or matched. */
  readonly grouping: readonly string[]
}

/** Reads an expression by Prometheus's own grammar.
 *
 * @throws Error when it is none. */
export function readPromql(expression: string): Asked {
  const metrics: { name: string; labels: string[] }[] = []
  const grouping: string[] = []
  let isGrouping = false
  parser.parse(expression).iterate({
    enter({ name, from, to, type }) {
      const text = expression.slice(from, to)
      if (type.isError) throw new Error(`no PromQL at ${from}: ${expression}`)
      if (name === 'Identifier') metrics.push({ name: text, labels: [] })
      if (name === 'GroupingLabels') isGrouping = true
      if (name === 'LabelName') (isGrouping ? grouping : metrics.at(-1)?.labels)?.push(text)
    },
    leave({ name }) {
      if (name === 'GroupingLabels') isGrouping = false
    },
  })
  return { metrics, grouping }
}

/** An expression of the dashboard with something for each of its variables. */
export function settled(expression: string): string {
  return expression.replaceAll('$__rate_interval', '5m').replaceAll(/\$(?:gateway|model|server)\b/g, '.*')
}
