/** What becomes of one parameter. */
interface Treated {
  readonly treatment: 'passed' | 'renamed' | 'converted' | 'dropped' | 'refused'
  readonly to?: string
  readonly note?: string
}

/** What the documentation tells of the dialects, as they declare it themselves. */
export interface SupportMatrix {
  readonly providers: readonly {
    readonly name: string
    /** The features it offers, of those in `features`. */
    readonly features: ReadonlySet<string>
    readonly parameters: Readonly<Record<string, Readonly<Record<string, Treated>> | undefined>>
  }[]
  /** Each feature with its words. */
  readonly features: readonly (readonly [name: string, words: string])[]
  readonly services: readonly {
    readonly name: string
    readonly renamed: Readonly<Record<string, string>>
    readonly dropped: readonly string[]
    readonly developer: boolean
    readonly note: string
  }[]
  readonly habits: readonly {
    readonly name: string
    readonly seen: string
    readonly habit: string
    readonly made: string
  }[]
}

const ENDPOINTS = [
  ['chat', '/v1/chat/completions'],
  ['completions', '/v1/completions'],
  ['embeddings', '/v1/embeddings'],
] as const

/** Writes the support matrix as Markdown, to stand in a guide. */
export function supportMarkdown(matrix: SupportMatrix): string {
  return [
    featureTable(matrix),
    ...ENDPOINTS.map(([endpoint, path]) => parameterTable(matrix, endpoint, path)),
    refusals(matrix),
    serviceTable(matrix),
    habitTable(matrix),
  ].join('\n\n')
}

function featureTable({ providers, features }: SupportMatrix): string {
  const rows = features.map(([name, words]) => [
    words,
    ...providers.map(each => (each.features.has(name) ? 'yes' : 'no')),
  ])
  const heading = ['', ...providers.map(({ name }) => code(name))]
  return `## What each kind can do\n\n${table(heading, rows)}`
}

function parameterTable({ providers }: SupportMatrix, endpoint: string, path: string): string {
  const offering = providers.filter(({ parameters }) => parameters[endpoint] !== undefined)
  const names = new Set(offering.flatMap(({ parameters }) => Object.keys(parameters[endpoint] ?? {})))
  const rows = [...names].map(name => [code(name), ...offering.map(each => cell(each.parameters[endpoint]?.[name]))])
  return `## Parameters of ${path}\n\n${table(['', ...offering.map(each => code(each.name))], rows)}`
}

function cell(treated: Treated | undefined): string {
  if (treated === undefined) return '–'
  return treated.treatment === 'renamed' ? `→ ${code(treated.to ?? '')}` : treated.treatment
}

/** Everything that is not simply passed on, in words: the same words once for all endpoints of a provider. */
function refusals({ providers }: SupportMatrix): string {
  const rows = providers.flatMap(({ name, parameters }) => {
    const noted = new Set<string>()
    for (const table of Object.values(parameters)) {
      for (const [parameter, { treatment, note }] of Object.entries(table ?? {})) {
        if (note !== undefined) noted.add([code(name), code(parameter), treatment, note].join('\n'))
      }
    }
    return [...noted].map(row => row.split('\n'))
  })
  return `## What is refused or converted, and how\n\n${table(['kind', 'parameter', '', ''], rows)}`
}

function serviceTable({ services }: SupportMatrix): string {
  const rows = services.map(({ name, renamed, dropped, developer, note }) => [
    name,
    Object.entries(renamed)
      .map(([from, to]) => `${code(from)} → ${code(to)}`)
      .join(', '),
    developer ? 'as it is' : '→ `system`',
    dropped.map(code).join(', '),
    note,
  ])
  const heading = ['service', 'renamed', '`developer`', 'left out', '']
  return `## Services told apart by their address\n\n${table(heading, rows)}`
}

function habitTable({ habits }: SupportMatrix): string {
  const rows = habits.map(({ name, seen, habit, made }) => [code(name), habit, seen, made])
  return `## Habits that are made good\n\n${table(['name', 'what a server does', 'seen at', 'what you receive'], rows)}`
}

function table(heading: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(text => text.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(heading), line(heading.map(() => '---')), ...rows.map(line)].join('\n')
}

function code(text: string): string {
  return `\`${text}\``
}
