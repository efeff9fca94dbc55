import { describe, expect, test } from 'bun:test'
import { type SupportMatrix, supportMarkdown } from '#http/docs/support.ts'
import { PROVIDERS } from '#providers/index.ts'
import { DEVIATIONS } from '#providers/openai_compatible/deviations.ts'
import { SERVICES } from '#providers/openai_compatible/services.ts'
import { OPENAI_PARAMETERS } from '#providers/parameters.ts'
import { composeSupport } from '#src/compose/support.ts'
import { startGateway } from '#tests/support/gateway.ts'

const markdown = supportMarkdown(composeSupport())

/** The rows of the table below a heading, cells without backticks. */
function tableBelow(heading: string): string[][] {
  const [, after = ''] = `\n${markdown}`.split(`\n## ${heading}\n`)
  const [section = ''] = after.split('\n## ')
  const lines = section.split('\n').filter(line => line.startsWith('| ') && !line.startsWith('| ---'))
  return lines.map(line =>
    line
      .slice(2, -2)
      .split(' | ')
      .map(cell => cell.replaceAll('`', '').trim()),
  )
}

describe('the support matrix', () => {
  test('has every provider, and says of each feature what it declares', () => {
    const [heading = [], ...rows] = tableBelow('What each kind can do')
    const cells = new Map(rows.map(([name = '', ...row]) => [name, row]))

    expect(heading.slice(1)).toEqual([...PROVIDERS.keys()])
    for (const [at, provider] of [...PROVIDERS.values()].entries()) {
      expect(cells.get('tools')?.[at]).toBe(provider.capabilities.tools ? 'yes' : 'no')
      expect(cells.get('answers by a JSON schema')?.[at]).toBe(provider.capabilities.json_schema ? 'yes' : 'no')
      expect(cells.get('/v1/embeddings')?.[at]).toBe(provider.endpoints.has('embeddings') ? 'yes' : 'no')
    }
    expect(rows).toHaveLength(3 + Object.keys([...PROVIDERS.values()][0]?.capabilities ?? {}).length)
  })

  test.each([
    ['chat', '/v1/chat/completions'],
    ['completions', '/v1/completions'],
    ['embeddings', '/v1/embeddings'],
  ] as const)('has every parameter of %s, and no provider without an answer', (endpoint, path) => {
    const [heading = [], ...rows] = tableBelow(`Parameters of ${path}`)
    const offering = [...PROVIDERS.values()].filter(({ endpoints }) => endpoints.has(endpoint))

    expect(heading.slice(1)).toEqual(offering.map(({ name }) => name))
    expect(rows.map(([name]) => name)).toEqual(expect.arrayContaining([...OPENAI_PARAMETERS[endpoint]]))
    for (const row of rows.filter(([name = '']) => OPENAI_PARAMETERS[endpoint].includes(name))) {
      expect(row.slice(1)).not.toContain('–')
    }
  })

  test('tells why something is refused', () => {
    const refused = tableBelow('What is refused or converted, and how').filter(
      ([, , treatment]) => treatment === 'refused',
    )

    for (const { name, parameters } of PROVIDERS.values()) {
      const names = Object.values(parameters).flatMap(table =>
        Object.entries(table).flatMap(([parameter, { treatment }]) => (treatment === 'refused' ? [parameter] : [])),
      )
      for (const parameter of names) expect(refused.map(row => row.slice(0, 2))).toContainEqual([name, parameter])
    }
    for (const [, , , why = ''] of refused) expect(why.length).toBeGreaterThan(5)
  })

  test('has every service and every habit', () => {
    expect(
      tableBelow('Services told apart by their address')
        .slice(1)
        .map(([name]) => name),
    ).toEqual(SERVICES.map(({ name }) => name))
    expect(
      tableBelow('Habits that are made good')
        .slice(1)
        .map(([name]) => name),
    ).toEqual(Object.keys(DEVIATIONS))
  })

  test('keeps its tables whole whatever stands in a cell', () => {
    const odd: SupportMatrix = {
      features: [],
      providers: [],
      services: [],
      habits: [{ name: 'x', seen: 'a | b', habit: 'c', made: 'd' }],
    }

    expect(supportMarkdown(odd)).toContain('| `x` | c | a \\| b | d |')
  })
})

test('the page that is served holds it', async () => {
  await using gateway = await startGateway({})

  const page = await (await fetch(`${gateway.url}/docs/support`)).text()

  for (const name of PROVIDERS.keys()) expect(page.replaceAll('<wbr>', '')).toContain(`<code>${name}</code>`)
  expect(page).toContain('What each kind can do')
  expect(page).not.toContain('<!-- support -->')
})
